//! The fields of a row: from a `dtype` of NumPy, checked before anything is read.

use std::str::FromStr;

use platform_core::kernel::{AccountId, Amount, Error, IdError, RawId, Result, TransferId};
use platform_core::transactions::ledger::frame::AssetCode;
use platform_core::transactions::ledger::state::Action;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

/// The longest text that is taken for an id.
const ID_TEXT_BYTES: usize = 64;

/// The longest code of an asset.
const ASSET_BYTES: usize = 16;

/// Some bytes of a row.
#[derive(Clone, Copy)]
struct Span {
    offset: usize,
    size: usize,
}

/// How a field is written.
#[derive(Clone, Copy)]
enum Form {
    /// `V16`: an id, its most significant byte first.
    Raw,
    /// `S…`: text, filled up with zeros.
    Text,
    /// `<u8`, `<u4`: a number that is never negative.
    Unsigned,
    /// `<i8`: a number.
    Signed,
    /// `?`.
    Truth,
}

#[derive(Clone, Copy)]
struct Field {
    span: Span,
    form: Form,
}

/// Where the fields of a row are.
pub(super) struct Layout {
    row_bytes: usize,
    debit_account: Field,
    credit_account: Field,
    amount_minor: Field,
    asset: Option<Field>,
    id: Option<Field>,
    pending: Option<Field>,
    expires_in_s: Option<Field>,
}

impl Layout {
    /// Reads a `dtype`.
    ///
    /// # Errors
    /// `TypeError` when a field is missing, unknown, or of another type.
    pub(super) fn read(dtype: &Bound<'_, PyAny>) -> PyResult<Layout> {
        let fields = dtype.getattr("fields")?;
        if fields.is_none() {
            return Err(PyTypeError::new_err("transfers are a structured array: its dtype has named fields"));
        }
        let row_bytes = dtype.getattr("itemsize")?.extract::<usize>()?;
        let mut found = Vec::new();
        for name in dtype.getattr("names")?.try_iter()? {
            let name = name?.extract::<String>()?;
            let described = fields.get_item(&name)?;
            let (inner, offset) = (described.get_item(0)?, described.get_item(1)?.extract::<usize>()?);
            let size = inner.getattr("itemsize")?.extract::<usize>()?;
            let form = inner.getattr("str")?.extract::<String>()?;
            let form = form_of(&name, &form, size)?;
            if offset.checked_add(size).is_none_or(|end| end > row_bytes) {
                return Err(PyTypeError::new_err(format!("the field {name} is outside of its row")));
            }
            found.push((name, Field { span: Span { offset, size }, form }));
        }
        let optional = |wanted: &str| found.iter().find(|(name, _)| name == wanted).map(|(_, field)| *field);
        let required = |wanted: &str| {
            optional(wanted).ok_or_else(|| PyTypeError::new_err(format!("the array has no field {wanted}")))
        };
        Ok(Layout {
            row_bytes,
            debit_account: required("debit_account")?,
            credit_account: required("credit_account")?,
            amount_minor: required("amount_minor")?,
            asset: optional("asset"),
            id: optional("id"),
            pending: optional("pending"),
            expires_in_s: optional("expires_in_s"),
        })
    }

    /// Reads all rows; what each is to do, with its id if it has one.
    ///
    /// # Errors
    /// With the `index` of the row: `request.invalid_id`, `ledger.invalid_amount`, `ledger.expiry_without_pending`.
    pub(super) fn rows(&self, bytes: &[u8]) -> Result<Vec<(Option<TransferId>, Action)>> {
        // An array without fields has rows without bytes.
        let rows = bytes.chunks_exact(self.row_bytes.max(1)).enumerate();
        rows.map(|(index, row)| self.row(row).map_err(|error| error.with("index", index))).collect()
    }

    fn row(&self, row: &[u8]) -> Result<(Option<TransferId>, Action)> {
        let accounts: (AccountId, AccountId) = (id(row, self.debit_account)?, id(row, self.credit_account)?);
        // What is negative is no amount, and neither is the largest number.
        let minor = u128::try_from(number(row, self.amount_minor)).unwrap_or(u128::MAX);
        let asset = self.asset.map(|field| asset(row, field));
        let pending = self.pending.is_some_and(|field| number(row, field) != 0);
        let expires_in_s = self.expires_in_s.map(|field| number(row, field)).filter(|seconds| *seconds != 0);
        let expires_in_s = expires_in_s.map(|seconds| u32::try_from(seconds).unwrap_or(u32::MAX));
        let action = Action::moving(accounts, Amount::from_minor(minor)?, asset, pending, expires_in_s)?;
        Ok((self.id.map(|field| id(row, field)).transpose()?, action))
    }
}

/// The form of a field of this name.
fn form_of(name: &str, written: &str, size: usize) -> PyResult<Form> {
    let form = match (name, written) {
        ("debit_account" | "credit_account" | "id", "|V16") => Some(Form::Raw),
        ("debit_account" | "credit_account" | "id", text)
            if text.starts_with("|S") && size <= ID_TEXT_BYTES =>
        {
            Some(Form::Text)
        }
        ("amount_minor", "<u8") | ("expires_in_s", "<u4") => Some(Form::Unsigned),
        ("amount_minor", "<i8") => Some(Form::Signed),
        ("asset", text) if text.starts_with("|S") && size <= ASSET_BYTES => Some(Form::Text),
        ("pending", "|b1") => Some(Form::Truth),
        _ => None,
    };
    form.ok_or_else(|| {
        PyTypeError::new_err(format!(
            "the field {name} of type {written}: there are debit_account, credit_account, id (V16 or S34, S35), \
             amount_minor (<u8 or <i8), asset (S16), pending (?) and expires_in_s (<u4)"
        ))
    })
}

fn bytes(row: &[u8], field: Field) -> &[u8] {
    // The layout was checked: it is there.
    row.get(field.span.offset..field.span.offset + field.span.size).unwrap_or_default()
}

fn text(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    bytes.get(..end).unwrap_or_default()
}

fn id<T: From<RawId> + FromStr<Err = IdError>>(row: &[u8], field: Field) -> Result<T> {
    let bytes = bytes(row, field);
    match <[u8; 16]>::try_from(bytes) {
        Ok(raw) if matches!(field.form, Form::Raw) => Ok(RawId(raw).into()),
        // What is no text is no id.
        _ => std::str::from_utf8(text(bytes)).unwrap_or_default().parse().map_err(Error::from),
    }
}

fn asset(row: &[u8], field: Field) -> AssetCode {
    let mut code = [0; ASSET_BYTES];
    code.iter_mut().zip(bytes(row, field)).for_each(|(to, from)| *to = *from);
    AssetCode(code)
}

fn number(row: &[u8], field: Field) -> i128 {
    let mut little = [0; 8];
    let bytes = bytes(row, field);
    little.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    match field.form {
        Form::Signed => i128::from(i64::from_le_bytes(little)),
        _ => i128::from(u64::from_le_bytes(little)),
    }
}
