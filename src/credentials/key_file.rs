//! The file that holds the sealing key: read in the forms that usual tools write, made only where that cannot lose anything.

use super::sealer::KEY;
use base64::{Engine, engine::general_purpose::STANDARD, engine::general_purpose::STANDARD_NO_PAD};
use chacha20poly1305::aead::Generate;
use secrecy::zeroize::Zeroizing;
use std::{
    fs::File,
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// Longest key file read, in bytes: the longest form is 64 characters and a line end.
const MAX_FILE: u64 = 256;
/// Permission bits of group and others.
const NOT_OWNER: u32 = 0o077;

/// Why there is no sealing key.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// `seal.key_file` is not set, and this store needs it to be.
    #[error(
        "no sealing key is set, and without one no credential can be kept in this store; make one with `umask 077 && head -c 32 /dev/urandom | base64 > seal.key`, keep a copy in a safe place, and set `seal.key_file` to it"
    )]
    NotSet,
    /// There is no such file.
    #[error(
        "the sealing key `{0}` does not exist; restore it from its copy, or, for a new hub, make one with `umask 077 && head -c 32 /dev/urandom | base64 > {0}`"
    )]
    Missing(PathBuf),
    /// There is none, and the store holds what one has sealed.
    #[error(
        "the sealing key `{path}` is gone, and the store holds {credentials} credential(s) that it sealed; put it back from its copy. If it is lost for good, `atshub seal reset` lets go of what it sealed, and every credential has to be set again"
    )]
    Gone {
        /// Where it was.
        path: PathBuf,
        /// How many rows.
        credentials: usize,
    },
    /// It could not be read or written.
    #[error("the sealing key `{path}` cannot be used: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What stands in it is no key.
    #[error(
        "the file `{0}` holds no sealing key; a key is 32 random bytes, in base64 or hexadecimal: `umask 077 && head -c 32 /dev/urandom | base64 > <file>`"
    )]
    NotAKey(PathBuf),
}

/// Whether a key file will do. `Ok(Some(…))` is a warning: others on the machine can read it.
///
/// # Errors
/// [`KeyFileError`], as when it is used.
pub fn check_key_file(path: &Path) -> Result<Option<String>, KeyFileError> {
    read(path)?;
    let file = std::fs::metadata(path).map_err(|source| KeyFileError::Io { path: path.into(), source })?;
    let mode = file.permissions().mode();
    Ok((mode & NOT_OWNER != 0 && may_close(file.uid(), own_user()))
        .then(|| format!("`{}` can be read by others (mode {:03o}); `chmod 600 {}`", path.display(), mode & 0o777, path.display())))
}

/// Whether this user can take the right to read away from the others. In a container the file is another user's, who gave that right to
/// this one: without it there would be no key.
fn may_close(owner: u32, own: Option<u32>) -> bool {
    own.is_none_or(|own| own == owner || own == 0)
}

fn own_user() -> Option<u32> {
    std::fs::metadata("/proc/self").ok().map(|own| own.uid())
}

pub(super) fn read(path: &Path) -> Result<Zeroizing<[u8; KEY]>, KeyFileError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => KeyFileError::Missing(path.into()),
        _ => KeyFileError::Io { path: path.into(), source },
    };
    let mut text = Zeroizing::new(Vec::with_capacity(MAX_FILE as usize));
    File::open(path).map_err(failed)?.take(MAX_FILE).read_to_end(&mut text).map_err(failed)?;
    decode(&text).ok_or_else(|| KeyFileError::NotAKey(path.into()))
}

/// Base64 with or without padding, hexadecimal, or the bytes themselves.
fn decode(text: &[u8]) -> Option<Zeroizing<[u8; KEY]>> {
    let bytes = if text.len() == KEY {
        Zeroizing::new(text.to_vec())
    } else {
        // Editors put a byte order mark before a text.
        let line = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text).trim_ascii();
        let decoded = if line.len() == 2 * KEY { hex::decode(line).ok() } else { None };
        Zeroizing::new(decoded.or_else(|| STANDARD.decode(line).ok()).or_else(|| STANDARD_NO_PAD.decode(line).ok())?)
    };
    let key = Zeroizing::new(<[u8; KEY]>::try_from(bytes.as_slice()).ok()?);
    // A key of one repeated byte was never random: an empty device, a file of zeros.
    (key.iter().any(|b| *b != key[0])).then_some(key)
}

pub(super) fn read_or_make(path: &Path) -> Result<Zeroizing<[u8; KEY]>, KeyFileError> {
    match read(path) {
        Err(KeyFileError::Missing(_)) => {}
        other => return other,
    }
    make(path).map_err(|source| KeyFileError::Io { path: path.into(), source })?;
    read(path)
}

/// Written beside its place, then put there unless another process was faster: never half a key, never one over another.
fn make(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let key = Zeroizing::new(<[u8; KEY]>::generate());
    let text = Zeroizing::new(STANDARD.encode(key.as_slice()));
    // Made with mode 0600 by `tempfile`.
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Ok(_) => File::open(folder)?.sync_all(),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error.error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, text: &[u8]) -> PathBuf {
        let path = folder.join("seal.key");
        std::fs::write(&path, text).unwrap();
        path
    }

    #[test]
    fn only_who_can_close_a_file_is_told_to() {
        for (owner, own, told) in [(10_001, Some(10_001), true), (1_000, Some(0), true), (1_000, None, true), (1_000, Some(10_001), false)]
        {
            assert_eq!(may_close(owner, own), told, "{owner} {own:?}");
        }
    }

    #[test]
    fn a_key_is_made_once_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/seal.key");
        let made = read_or_make(&path).unwrap();
        assert_eq!(read_or_make(&path).unwrap(), made);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        assert!(check_key_file(&path).unwrap().is_none());
    }

    #[test]
    fn many_that_make_a_key_at_once_agree_on_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("seal.key");
        let makers: Vec<_> = (0..8)
            .map(|_| {
                std::thread::spawn({
                    let path = path.clone();
                    move || *read_or_make(&path).unwrap()
                })
            })
            .collect();
        let keys: Vec<_> = makers.into_iter().map(|m| m.join().unwrap()).collect();
        assert!(keys.iter().all(|k| *k == keys[0]));
    }

    #[test]
    fn a_key_is_read_in_the_forms_that_tools_write() {
        let folder = tempfile::tempdir().unwrap();
        let key: [u8; KEY] = std::array::from_fn(|n| n as u8);
        let base64 = STANDARD.encode(key);
        let forms: [Vec<u8>; 7] = [
            key.to_vec(),
            format!("{base64}\n").into(),
            base64.trim_end_matches('=').into(),
            format!("{}\n", hex::encode(key)).into(),
            hex::encode_upper(key).into(),
            format!("\u{feff}{base64}\r\n").into(),
            format!("\u{feff}{}", hex::encode(key)).into(),
        ];
        for form in forms {
            assert_eq!(*read(&write(folder.path(), &form)).unwrap(), key, "{form:?}");
        }
    }

    #[test]
    fn what_is_no_key_is_refused_with_how_to_make_one() {
        let folder = tempfile::tempdir().unwrap();
        for text in [&b""[..], b"secret\n", &[0; KEY], &[b'A'; 44], &[b'f'; 64], &[b'x'; 4096]] {
            let error = read(&write(folder.path(), text)).unwrap_err();
            assert!(matches!(error, KeyFileError::NotAKey(_)), "{error}");
            assert!(error.to_string().contains("head -c 32 /dev/urandom | base64"), "{error}");
        }
        let missing = read(&folder.path().join("none")).unwrap_err();
        assert!(matches!(missing, KeyFileError::Missing(_)) && missing.to_string().contains("head -c 32 /dev/urandom"), "{missing}");
    }

    #[test]
    fn a_key_that_others_can_read_is_warned_of() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("seal.key");
        read_or_make(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(check_key_file(&path).unwrap().unwrap().contains("mode 640"));
    }
}
