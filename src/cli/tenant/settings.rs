//! `atshub tenant settings`: the reference of what a tenant can have set.

use super::{
    add::entry,
    policy::{PLAIN, TABLES},
};
use crate::cli::{
    exit::{Ended, Exit},
    out::Listing,
    session::Session,
};
use atshub_actors::domain::Policy;
use serde_json::Value;

/// Arguments of `tenant settings`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// With the settings of this kind of ATS alone
    #[arg(long, value_name = "KIND")]
    ats: Option<String>,
}

/// Lists them.
pub(super) fn run(args: &Args, session: &Session) -> Ended {
    let wanted = args.ats.as_deref().map(entry).transpose()?;
    let default = serde_json::to_value(Policy::default()).unwrap_or_default();
    let mut listing = Listing::new(&["setting", "ats", "default", "meaning"], "");
    let mut row =
        |key: String, ats: &str, default: Value, meaning: &str| listing.row(vec![key.into(), ats.into(), default, meaning.into()]);
    row("--trigger-stage".into(), "every", Value::Null, "the stages that mean \"invite\", by name or id");
    for (key, meaning) in PLAIN {
        row(key.into(), "every", default[key].clone(), meaning);
    }
    for (table, behind, meaning) in TABLES {
        row(format!("{table}.{behind}"), "every", Value::Null, meaning);
    }
    for kind in crate::ats::REGISTRY.iter().filter(|kind| wanted.is_none_or(|wanted| wanted.kind == kind.kind)) {
        for setting in kind.settings {
            row(setting.key.into(), kind.kind, setting.default.into(), setting.help);
        }
    }
    session.out.list(&listing)?;
    Ok(Exit::Done)
}
