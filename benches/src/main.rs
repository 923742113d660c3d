//! The driver: `cargo run --release -p benches -- list` names every row, `… -- NAME` measures it and
//! prints one line: `NAME ours=NUMBER unit=UNIT peer=NAME:NUMBER ratio=NUMBER`.
//!
//! `… -- pressure` puts the server under attack, and prints a table.
//!
//! A row is a function in a file of its own subject, registered in [`ROWS`]. Peers run in the same
//! process and the same run, interleaved; every number is a median.

#![allow(clippy::print_stdout)]

mod audit;
mod disk;
mod flags;
mod gateway;
mod identity;
mod ledger;
mod log;
mod pressure;
mod routes;
mod row;
mod server;
mod store;

use std::process::ExitCode;

use row::Row;

/// Every row, by subject.
const ROWS: &[&[Row]] = &[
    audit::ROWS,
    disk::ROWS,
    flags::ROWS,
    gateway::ROWS,
    identity::ROWS,
    ledger::ROWS,
    log::ROWS,
    routes::ROWS,
    pressure::ROWS,
    server::ROWS,
    store::ROWS,
];

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let rows = || ROWS.iter().copied().flatten();
    match wanted.as_slice() {
        [list] if list == "list" => {
            rows().for_each(|row| println!("{:<32} {}", row.name, row.what));
            pressure::list();
            ExitCode::SUCCESS
        }
        [pressure, attacks @ ..] if pressure == "pressure" => match pressure::run(attacks) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error}");
                usage()
            }
        },
        [] => usage(),
        names => {
            for name in names {
                let Some(row) = rows().find(|row| row.name == name) else {
                    eprintln!("there is no row {name}");
                    return usage();
                };
                println!("{} {}", row.name, (row.run)());
            }
            ExitCode::SUCCESS
        }
    }
}

fn usage() -> ExitCode {
    eprintln!("usage: benches list | NAME… | pressure [ATTACK…]");
    ExitCode::FAILURE
}
