//! The platform as a Python module.
//!
//! In reading order:
//! - `domain`, `record`: how a method and a result are declared, once for both classes, the docs and the stubs.
//! - `users` and its neighbours: the domains.
//! - `submit`: many transfers at once, from arrays.
//! - `platform`, `opening`, `principal`: what a program begins with.
//! - `serving`: the server within this process.
//! - `events`: what has happened, as an iterator.
//! - `view`, `wait`, `call`, `pages`: how a call is made, waited for, awaited, and a list read.
//! - `core`, `fork`: an open platform, and what a fork leaves of it.
//! - `planted`: what the tests ask for, in builds for development only.
//! - `values`, `typed`, `error`, `stubs`: what crosses the border, and how the stubs name it.

mod audit;
mod auth;
mod call;
mod core;
mod dead_letters;
mod domain;
mod error;
mod events;
mod flags;
mod fork;
mod gateway;
mod ids;
mod notifications;
mod opening;
mod pages;
#[cfg(debug_assertions)]
mod planted;
mod platform;
mod principal;
mod record;
mod serving;
mod stubs;
mod submit;
mod transactions;
mod typed;
mod users;
mod values;
mod view;
mod wait;

use platform_core::kernel::ErrorKind;
use pyo3::prelude::*;

use record::Record;

/// Every class of results.
macro_rules! records {
    ($($record:ty),* $(,)?) => {
        fn add_records(module: &Bound<'_, PyModule>) -> PyResult<()> {
            $(module.add_class::<$record>()?;)*
            Ok(())
        }

        fn record_stubs() -> Vec<stubs::Class> {
            vec![$(<$record>::stub()),*]
        }
    };
}

records! {
    audit::AuditEntry, audit::AuditSource, audit::ConsistencyProof, audit::EntryProof,
    auth::Jwk, auth::Session, auth::TokenPair,
    dead_letters::DeadLetter, dead_letters::Redriven,
    events::Event,
    flags::BulkEvaluation, flags::Flag, flags::FlagEvaluation, flags::FlagRevision, flags::FlagSet, flags::VariantCount,
    gateway::Route,
    notifications::DeliveryAttempt, notifications::Notification, notifications::Preferences, notifications::Rendered,
    notifications::Template, notifications::TemplateParts,
    platform::SentMail,
    submit::FailedTransfer, submit::Submission,
    transactions::Account, transactions::AccountBalances, transactions::Asset, transactions::AssetCheck,
    transactions::BatchItem, transactions::LedgerCheck, transactions::LedgerCounts, transactions::LedgerVerification,
    transactions::NewTransfer, transactions::PageProof, transactions::PageProofs, transactions::Transfer,
    users::HeldPermissions, users::Profile, users::Role, users::RoleSummary,
}

/// What the stubs of the classes that no table makes look like.
const WRITTEN: &str = include_str!("written.txt");

/// The native part of `platform_core`.
#[pymodule(gil_used = false)]
fn _platform_core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<platform::Platform>()?;
    module.add_class::<platform::AsyncPlatform>()?;
    module.add_class::<opening::Opening>()?;
    module.add_class::<principal::Principal>()?;
    module.add_class::<events::Events>()?;
    module.add_class::<events::AsyncEvents>()?;
    module.add_class::<serving::Serving>()?;
    module.add_class::<serving::AsyncServing>()?;
    module.add_class::<pages::Pages>()?;
    module.add_class::<pages::AsyncPages>()?;
    module.add_class::<pages::PageOf>()?;
    platform::add_domains(module)?;
    add_records(module)?;
    module.add_function(wrap_pyfunction!(ids::id_bytes, module)?)?;
    module.add_function(wrap_pyfunction!(ids::id_text, module)?)?;
    module.add_function(wrap_pyfunction!(_stubs, module)?)?;
    module.add_function(wrap_pyfunction!(_kinds, module)?)?;
    #[cfg(debug_assertions)]
    planted::add(module)?;
    let close_all = wrap_pyfunction!(_close_all, module)?;
    module.py().import("atexit")?.call_method1("register", (close_all,))?;
    // The package says what is public.
    module.delattr("__all__")?;
    Ok(())
}

/// The stubs of this module: the file beside it is compared with them.
#[pyfunction]
fn _stubs() -> String {
    let mut classes = platform::domain_stubs();
    classes.extend(record_stubs());
    stubs::stubs(WRITTEN, platform::DOMAINS, &classes)
}

/// Closes what is open at the end of the interpreter.
#[pyfunction]
fn _close_all(py: Python<'_>) {
    py.detach(core::close_all);
}

/// The names of the kinds of errors: the exceptions are compared with them.
#[pyfunction]
fn _kinds() -> Vec<&'static str> {
    ErrorKind::ALL.iter().map(|kind| kind.name()).collect()
}
