//! Which sealing key a configuration means, and whether it is the one of the store that is worked on.

use crate::{
    app::AppError,
    config::{Config, SealKey},
    credentials::{KeyFileError, KeyProofError, Sealer, prove, sealed},
};
use atshub_actors::ports::{Store, StoreError};

/// The sealing key that the configuration means, and proof that the store's credentials were sealed with it.
///
/// # Errors
/// [`AppError::SealKey`], which says how to make one, [`AppError::OtherKey`] if it is another one, [`AppError::Store`].
pub async fn open(config: &Config, store: &dyn Store) -> Result<Sealer, AppError> {
    let sealer = unproven(config, store).await?;
    proven(&sealer, config, store).await?;
    Ok(sealer)
}

/// The sealing key that the configuration means, whatever the store's credentials were sealed with.
///
/// # Errors
/// [`AppError::SealKey`], [`AppError::Store`].
pub async fn unproven(config: &Config, store: &dyn Store) -> Result<Sealer, AppError> {
    let sealer = match config.seal_key()? {
        SealKey::File(path) => Sealer::from_key_file(&path)?,
        SealKey::FileOrNew(path) if path.exists() => Sealer::from_key_file(&path)?,
        // A new key in the place of one that is gone would be a silent loss of every credential.
        SealKey::FileOrNew(path) => match sealed(store).await.map_err(|source| away(config, source))? {
            0 => Sealer::from_key_file_or_new(&path)?,
            credentials => return Err(KeyFileError::Gone { path, credentials }.into()),
        },
        SealKey::Forgetful => Sealer::forgetful(),
        SealKey::NotSet => return Err(KeyFileError::NotSet.into()),
    };
    Ok(match config.seal.previous() {
        Some(previous) => sealer.with_previous(previous)?,
        None => sealer,
    })
}

/// Whether the configured sealing key can be read at all: what no wait makes right is said before the store is waited for.
///
/// # Errors
/// [`AppError::SealKey`].
pub fn check(config: &Config) -> Result<(), AppError> {
    match config.seal_key()? {
        SealKey::File(path) => drop(Sealer::from_key_file(&path)?),
        SealKey::NotSet => return Err(KeyFileError::NotSet.into()),
        SealKey::FileOrNew(_) | SealKey::Forgetful => {}
    }
    Ok(())
}

pub(crate) async fn proven(sealer: &Sealer, config: &Config, store: &dyn Store) -> Result<(), AppError> {
    prove(sealer, store).await.map_err(|error| match error {
        KeyProofError::Store(source) => away(config, source),
        other => AppError::OtherKey(other),
    })
}

fn away(config: &Config, source: StoreError) -> AppError {
    AppError::Store { address: config.store.url.masked(), source }
}
