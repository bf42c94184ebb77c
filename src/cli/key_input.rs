//! Credentials from files or standard input, never from arguments: those stand in the shell's history and in every process
//! list of the machine.

use super::exit::{Exit, Stop};
use atshub_schemas::text::{is_unseen, trimmed};
use secrecy::{ExposeSecret, SecretString, zeroize::Zeroizing};
use std::{fs::File, io::Read, path::Path};

/// Longest credential read, in bytes.
const LONGEST: u64 = 16 * 1024;

/// How a text in UTF-16 begins, in either order of bytes (Unicode 23.8).
const UTF_16: [&[u8]; 2] = [b"\xff\xfe", b"\xfe\xff"];

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

/// Reads a credential from a file, or from standard input for `-`. White space and invisible marks around it, such as the byte order mark
/// that editors put before a text, are not part of it.
pub(super) fn read(option: &str, file: &Path) -> Result<SecretString, Stop> {
    let failed = |why: String| Stop::usage(format!("{option}: {why}"));
    let mut bytes = Zeroizing::new(Vec::new());
    let read = if file.as_os_str() == STDIN {
        std::io::stdin().lock().take(LONGEST + 1).read_to_end(&mut bytes)
    } else {
        // The name is not repeated: somebody may have given the credential itself.
        let open = File::open(file).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => failed("there is no such file".into())
                .next("name a file that holds the credential; the credential itself is not taken as an argument"),
            _ => failed(error.to_string()),
        })?;
        open.take(LONGEST + 1).read_to_end(&mut bytes)
    };
    read.map_err(|error| failed(error.to_string()))?;
    if UTF_16.iter().any(|mark| bytes.starts_with(mark)) {
        return Err(failed("it is text in UTF-16, as some editors on Windows save it".into()).next("save it as UTF-8, or as plain text"));
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| {
        failed("it is not text in UTF-8; a credential is plain text".into()).next("save it as UTF-8; is it the right file?")
    })?;
    let secret = trimmed(text);
    match secret.len() as u64 {
        0 => Err(failed("it is empty".into()).next("put the credential into it, and nothing else")),
        1..=LONGEST if secret.chars().any(|c| c.is_control() && c != '\n' && c != '\r' && c != '\t') => {
            Err(failed("it holds control characters; a credential is plain text".into()).next("is it the right file?"))
        }
        1..=LONGEST if secret.chars().any(is_unseen) => {
            Err(failed("it holds invisible characters in the middle, which no ATS has in a credential".into())
                .next("copy the credential anew, without what stands around it"))
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
    fn a_credential_is_read_from_a_file_without_what_editors_put_around_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        for around in ["  k-1\r\n", "\u{feff}k-1\r\n", "\u{feff} k-1", "k-1\u{a0}\u{200b}\n", "\u{2060}\u{202a}k-1\u{202c}\t"] {
            std::fs::write(&file, around).unwrap();
            assert_eq!(clear(&read("--key-file", &file).unwrap()), "k-1", "{around:?}");
        }
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
        let cases: [(&[u8], &str); 9] = [
            (b"", "empty"),
            (b" \n", "empty"),
            (b"\xef\xbb\xbf\r\n", "empty"),
            (b"a\x1bb", "control characters"),
            (b"\xff\xfek\0-\0", "UTF-16"),
            (b"\xfe\xff\0k", "UTF-16"),
            (b"k\xff", "UTF-8"),
            ("k\u{200b}1".as_bytes(), "invisible"),
            (&[b'x'; 20_000], "longer"),
        ];
        for (content, why) in cases {
            let file = folder.path().join("key");
            std::fs::write(&file, content).unwrap();
            let stop = read("--key-file", &file).unwrap_err();
            assert!(stop.text.contains(why), "{content:?}: {stop:?}");
        }
        assert!(one_stdin(&[Some(Path::new("-")), None, Some(Path::new("-"))]).is_err());
    }
}
