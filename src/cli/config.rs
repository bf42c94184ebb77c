//! `atshub config`: the settings, what is in force, and whether it will do.

use super::{
    exit::{Ended, Exit},
    out::{Listing, Out},
};
use crate::config::{Config, DEFAULT_FILE, Loaded, Sources, check, load};
use clap::Subcommand;
use serde_json::Value;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Print every setting, with its default and what it is for; the beginning of an atshub.toml
    Default,
    /// Print the settings in force and where each comes from, and check their values; exit 1 if the hub cannot run so
    Check,
}

/// Prints or checks.
pub(super) fn run(verb: &Verb, sources: &Sources, out: Out) -> Ended {
    match verb {
        Verb::Default => out.verbatim(DEFAULT_FILE).map(|()| Exit::Done),
        Verb::Check => {
            let loaded = match load(sources) {
                Ok(loaded) => loaded,
                Err(error) => {
                    out.stop(&error.into());
                    return Ok(Exit::Failed);
                }
            };
            let mut listing = Listing::new(&["setting", "value", "from"], "");
            for (key, value) in settings(&loaded.config) {
                let origin = loaded.origins.get(&key).map(ToString::to_string);
                listing.row(vec![key.into(), value, origin.into()]);
            }
            out.list(&listing)?;
            verdict(&loaded, out)
        }
    }
}

fn verdict(Loaded { config, warnings, .. }: &Loaded, out: Out) -> Ended {
    warnings.iter().for_each(|warning| out.warn(warning));
    let problems = check(config);
    for problem in &problems {
        let text = format!("`{}`: {}", problem.key, problem.text);
        if problem.fatal { out.stop(&super::Stop::failed(text)) } else { out.warn(text) }
    }
    let fatal = problems.iter().filter(|p| p.fatal).count();
    if fatal > 0 {
        return Ok(Exit::Failed);
    }
    out.say("the settings will do; `atshub check store` and `atshub check broker` try the way there");
    Ok(Exit::Done)
}

/// Every setting with its value, passwords masked.
fn settings(config: &Config) -> Vec<(String, Value)> {
    let mut shown = serde_json::to_value(config).unwrap_or_default();
    shown["broker"]["url"] = config.broker.url.masked().into();
    shown["store"]["url"] = config.store.url.masked().into();
    let sections = shown.as_object().cloned().unwrap_or_default();
    let keys = |(section, values): (String, Value)| {
        let values = values.as_object().cloned().unwrap_or_default();
        values.into_iter().map(move |(key, value)| (format!("{section}.{key}"), value)).collect::<Vec<_>>()
    };
    sections.into_iter().flat_map(keys).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Address;

    #[test]
    fn no_password_is_printed() {
        let mut config = Config::default();
        config.broker.url = Address::new("amqp://hub:secret@rabbit/hub");
        config.store.url = Address::new("postgres://db/hub?password=secret");
        let shown = format!("{:?}", settings(&config));
        assert!(shown.contains("amqp://hub:****@rabbit/hub") && !shown.contains("secret"), "{shown}");
    }
}
