//! Credentials from files or standard input, never from arguments: those stand in the shell's history and in every process
//! list of the machine.

use super::exit::{Exit, Stop};
use secrecy::{ExposeSecret, SecretString, zeroize::Zeroizing};
use std::{fs::File, io::Read, path::Path};

/// Longest credential read, in bytes.
const LONGEST: u64 = 16 * 1024;

/// The file that stands for standard input.
const STDIN: &str = "-";

/// What somebody may try in place of `--key-file`: taken, so that the refusal can say what to do.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Refused {
    #[arg(
        long = "key",
        alias = "api-key",
        alias = "token",
        alias = "secret",
        alias = "password",
        alias = "webhook-secret",
        alias = "partner-key",
        hide = true
    )]
    typed: Option<String>,
}

impl Refused {
    /// Refuses a credential that was typed as an argument. It is not repeated.
    pub(super) fn check(&self) -> Result<(), Stop> {
        if self.typed.is_some() { Err(in_argument()) } else { Ok(()) }
    }
}

/// A credential stood in an argument.
pub(super) fn in_argument() -> Stop {
    Stop { exit: Exit::Usage, text: "a credential is not taken from an argument: it would stand in the shell's history and in every process list".into(), next: None }
        .next("put it into a file and name that (`--key-file FILE`), or `--key-file -` for standard input; consider the one that was typed known, and have it replaced")
}

/// Reads a credential from a file, or from standard input for `-`. White space around it is not part of it.
pub(super) fn read(option: &str, file: &Path) -> Result<SecretString, Stop> {
    let failed = |why: String| Stop::usage(format!("{option}: {why}"));
    let mut text = Zeroizing::new(String::new());
    let read = if file.as_os_str() == STDIN {
        std::io::stdin().lock().take(LONGEST + 1).read_to_string(&mut text)
    } else {
        // The name is not repeated: somebody may have given the credential itself.
        let open = File::open(file).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => failed("there is no such file".into())
                .next("name a file that holds the credential; the credential itself is not taken as an argument"),
            _ => failed(error.to_string()),
        })?;
        open.take(LONGEST + 1).read_to_string(&mut text)
    };
    read.map_err(|error| failed(error.to_string()))?;
    let secret = text.trim();
    match secret.len() as u64 {
        0 => Err(failed("it is empty".into())),
        1..=LONGEST if secret.chars().any(|c| c.is_control() && c != '\n' && c != '\r' && c != '\t') => {
            Err(failed("it holds control characters; a credential is plain text".into()))
        }
        1..=LONGEST => Ok(SecretString::from(secret)),
        _ => Err(failed(format!("it is longer than {LONGEST} bytes; is it the right file?"))),
    }
}

/// At most one option may read standard input.
pub(super) fn one_stdin(files: &[Option<&Path>]) -> Result<(), Stop> {
    match files.iter().flatten().filter(|file| file.as_os_str() == STDIN).count() {
        0 | 1 => Ok(()),
        _ => Err(Stop::usage("only one credential can come from standard input; put the others into files")),
    }
}

/// For sealing.
pub(super) fn clear(secret: &SecretString) -> &str {
    secret.expose_secret()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_read_from_a_file_without_the_line_end() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        std::fs::write(&file, "  k-1\r\n").unwrap();
        assert_eq!(clear(&read("--key-file", &file).unwrap()), "k-1");
    }

    #[test]
    fn a_credential_given_as_a_file_name_is_not_repeated() {
        let stop = read("--key-file", Path::new("sk_live_very_secret")).unwrap_err();
        assert!(!format!("{stop:?}").contains("sk_live_very_secret"), "{stop:?}");
        assert_eq!(stop.exit, Exit::Usage);
    }

    #[test]
    fn what_cannot_be_a_credential_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        for content in [&b""[..], b" \n", b"a\x1bb", b"\xff\xfe", &[b'x'; 20_000]] {
            let file = folder.path().join("key");
            std::fs::write(&file, content).unwrap();
            assert!(read("--key-file", &file).is_err(), "{content:?}");
        }
        assert!(one_stdin(&[Some(Path::new("-")), None, Some(Path::new("-"))]).is_err());
    }
}
