//! What became of a message. Words only.

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// `accepted`, `ignored`, `refused` or `performed`.
    pub word: &'static str,
    /// Stable code.
    pub code: String,
    /// One sentence for a person.
    pub text: String,
    /// Who must do what, where there is something to do.
    pub remedy: Option<String>,
}

impl Verdict {
    /// It changed something.
    pub fn accepted(code: impl Into<String>, text: impl Into<String>) -> Self {
        Self { word: "accepted", code: code.into(), text: text.into(), remedy: None }
    }

    /// It was understood, and changes nothing.
    pub fn ignored(code: impl Into<String>, text: impl Into<String>) -> Self {
        Self { word: "ignored", code: code.into(), text: text.into(), remedy: None }
    }

    /// It was understood, and what it asks for is refused; the words are those the recruiter sees.
    pub fn refused(code: impl Into<String>, text: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { word: "refused", code: code.into(), text: text.into(), remedy: Some(remedy.into()) }
    }

    /// Work was done.
    pub fn performed(code: impl Into<String>, text: impl Into<String>) -> Self {
        Self { word: "performed", code: code.into(), text: text.into(), remedy: None }
    }
}
