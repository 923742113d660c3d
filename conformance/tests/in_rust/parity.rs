//! The scenarios, the table and the lists, compared with the facades.

use std::collections::BTreeSet;

use conformance::{Exceptions, exceptions, methods_of_facades, scenarios};

use crate::RUST;
use crate::table::known;

fn lists() -> (Exceptions, BTreeSet<String>) {
    let exceptions = exceptions().unwrap();
    let facades = methods_of_facades(&exceptions.assembly).unwrap();
    (exceptions, facades)
}

/// The methods that the scenarios call, and that of the beginning of each.
fn called() -> BTreeSet<String> {
    let scenarios = scenarios().unwrap();
    let steps = scenarios.iter().flat_map(|scenario| scenario.methods().map(str::to_owned));
    steps.chain(["auth.setup".to_owned()]).collect()
}

fn table() -> BTreeSet<String> {
    known().map(|method| method.name.to_owned()).collect()
}

#[test]
fn the_facades_are_found() {
    let (_, facades) = lists();
    for method in ["users.create", "auth.login", "transactions.submit", "audit.flush", "dead_letters.redrive"]
    {
        assert!(facades.contains(method), "{method}");
    }
}

#[test]
fn the_table_has_what_scenarios_call_and_nothing_else() {
    assert_eq!(table(), called());
    assert_eq!(known().count(), table().len(), "a method is there twice");
}

#[test]
fn a_scenario_calls_every_method_that_is_not_of_rust_alone() {
    let (exceptions, facades) = lists();
    let of_rust = exceptions.methods.keys().filter(|method| exceptions.lacks("python", method)).cloned();
    let of_all: BTreeSet<_> = called().into_iter().chain(of_rust).collect();
    assert_eq!(of_all, facades);
}

#[test]
fn a_scenario_runs_wherever_its_methods_are() {
    let (exceptions, _) = lists();
    for scenario in scenarios().unwrap() {
        for way in [RUST, "python", "rest"] {
            let lacking: Vec<_> = scenario.methods().filter(|method| exceptions.lacks(way, method)).collect();
            assert_eq!(scenario.runs_in(way), lacking.is_empty(), "{} in {way}: {lacking:?}", scenario.name);
        }
    }
}
