//! `platform.transactions.submit`: many transfers at once, without a Python object for each.
//!
//! - `table`: rows of a structured array, read from its memory.
//! - `layout`: which fields such a row has, and where.
//! - `outcome`: what became of them.

mod layout;
mod outcome;
mod table;

pub(crate) use outcome::{FailedTransfer, Submission, Submitted};
pub(crate) use table::Table;

use platform_core::Platform;
use platform_core::kernel::{Context, Result};
use platform_core::transactions::ledger::state::NewTransfer;
use pyo3::prelude::*;

use crate::transactions::Batch;
use crate::typed::Typed;

/// What is submitted: requests, or the rows of an array.
pub(crate) enum Transfers {
    Requests(Batch),
    Table(Table),
}

impl Typed for Transfers {
    fn output() -> String {
        format!("{} | _StructuredArray", Batch::output())
    }
}

impl FromPyObject<'_, '_> for Transfers {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Transfers> {
        if object.hasattr("dtype")? {
            Table::read(&object).map(Transfers::Table)
        } else {
            object.extract::<Batch>().map(Transfers::Requests)
        }
    }
}

impl Transfers {
    /// As the ledger takes them.
    ///
    /// # Errors
    /// As [`platform_core::transactions::Transactions::prepare`].
    pub(crate) async fn prepare(self, platform: &Platform, context: &Context) -> Result<Vec<NewTransfer>> {
        match self {
            Transfers::Requests(batch) => platform.transactions().prepare(context, &batch.0).await,
            Transfers::Table(table) => Ok(table.transfers(|| platform.backends().runtime.new_id().into())),
        }
    }
}
