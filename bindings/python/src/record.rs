//! Results: immutable classes over the core's own values, as a frozen dataclass would be.

use pyo3::PyTypeInfo;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFrozenSet, PyList, PyNotImplemented, PyString, PyTuple};

use crate::stubs::Class;

/// A class of results.
pub(crate) trait Record: PyTypeInfo {
    /// Its name in Python.
    const NAME: &'static str;
    /// Its fields, and whether each is hidden.
    const FIELDS: &'static [(&'static str, bool)];

    /// The values of the fields.
    fn values<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyAny>>>;

    /// What the stubs say of it.
    fn stub() -> Class;
}

/// `Name(field=value, …)`, without what is hidden.
pub(crate) fn repr<R: Record>(py: Python<'_>, record: &R) -> PyResult<String> {
    let values = record.values(py)?;
    let fields = R::FIELDS.iter().zip(values).map(|((name, is_hidden), value)| {
        if *is_hidden { Ok(format!("{name}='…'")) } else { Ok(format!("{name}={}", value.repr()?)) }
    });
    Ok(format!("{}({})", R::NAME, fields.collect::<PyResult<Vec<_>>>()?.join(", ")))
}

/// Whether the fields are equal; records of different classes never are.
pub(crate) fn equal<'py, R>(
    py: Python<'py>,
    one: &R,
    other: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>>
where
    R: Record + pyo3::PyClass<Frozen = pyo3::pyclass::boolean_struct::True> + Sync,
{
    let Ok(other) = other.cast::<R>() else {
        return Ok(PyNotImplemented::get(py).to_owned().into_any());
    };
    let (one, other) = (tuple(py, one)?, tuple(py, other.get())?);
    one.rich_compare(other, pyo3::basic::CompareOp::Eq)
}

/// The hash of the fields.
///
/// # Errors
/// `TypeError` when a field has none (a dictionary).
pub(crate) fn hash<R: Record>(py: Python<'_>, record: &R) -> PyResult<isize> {
    tuple(py, record)?.hash()
}

/// The fields as a dictionary, records within them too.
pub(crate) fn to_dict<'py, R: Record>(py: Python<'py>, record: &R) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for ((name, _), value) in R::FIELDS.iter().zip(record.values(py)?) {
        dict.set_item(name, plain(value)?)?;
    }
    Ok(dict)
}

/// The names of the fields, for `match`.
pub(crate) fn match_args<R: Record>(py: Python<'_>) -> PyResult<Py<PyTuple>> {
    PyTuple::new(py, R::FIELDS.iter().map(|(name, _)| PyString::new(py, name))).map(Bound::unbind)
}

fn tuple<'py, R: Record>(py: Python<'py>, record: &R) -> PyResult<Bound<'py, PyTuple>> {
    PyTuple::new(py, record.values(py)?)
}

fn plain(value: Bound<'_, PyAny>) -> PyResult<Bound<'_, PyAny>> {
    if let Ok(list) = value.cast::<PyList>() {
        let items = list.iter().map(plain).collect::<PyResult<Vec<_>>>()?;
        return Ok(PyList::new(value.py(), items)?.into_any());
    }
    let is_plain = value.is_instance_of::<PyString>() || value.is_instance_of::<PyFrozenSet>();
    if !is_plain && value.hasattr("to_dict")? { value.call_method0("to_dict") } else { Ok(value) }
}

/// Declares a class of results: its docs, the value of the core that it shows, and each field with its docs, its
/// type and where it comes from. It has `repr`, equality, a hash, `match` and `to_dict`, and its place in the stubs;
/// `lib.rs` lists it. What Python may make itself has a constructor besides, and says its type behind `new`.
macro_rules! record {
    (
        $(#[doc = $doc:tt])*
        $name:ident($it:ident: $core:ty) $(new $new:literal)? {
            $($(#[doc = $field_doc:tt])* $field:ident: $type:ty = $value:expr;)*
        }
    ) => {
        $(#[doc = $doc])*
        #[pyo3::pyclass(frozen, module = "platform_core")]
        pub(crate) struct $name(pub(crate) $core);

        impl From<$core> for $name {
            fn from(value: $core) -> $name {
                $name(value)
            }
        }

        impl $crate::typed::Typed for $name {
            fn output() -> String {
                stringify!($name).to_owned()
            }
        }

        impl $crate::record::Record for $name {
            const NAME: &'static str = stringify!($name);
            const FIELDS: &'static [(&'static str, bool)] =
                &[$((stringify!($field), <$type as $crate::typed::Typed>::IS_HIDDEN)),*];

            fn values<'py>(&self, py: pyo3::Python<'py>) -> pyo3::PyResult<Vec<pyo3::Bound<'py, pyo3::PyAny>>> {
                use pyo3::IntoPyObjectExt;
                Ok(vec![$(self.$field().into_bound_py_any(py)?),*])
            }

            fn stub() -> $crate::stubs::Class {
                $crate::stubs::Class {
                    name: stringify!($name),
                    doc: &[$($doc),*],
                    fields: vec![$($crate::stubs::Field {
                        name: stringify!($field),
                        hint: <$type as $crate::typed::Typed>::output(),
                        doc: &[$($field_doc),*],
                    }),*],
                    methods: Vec::new(),
                    record: Some(String::new() $(+ $new)?),
                }
            }
        }

        #[pyo3::pymethods]
        impl $name {
            $(
                $(#[doc = $field_doc])*
                #[getter]
                #[allow(clippy::wrong_self_convention)]
                fn $field(&self) -> $type {
                    let $it = &self.0;
                    $value
                }
            )*

            #[classattr]
            fn __match_args__(py: pyo3::Python<'_>) -> pyo3::PyResult<pyo3::Py<pyo3::types::PyTuple>> {
                $crate::record::match_args::<$name>(py)
            }

            /// The fields as a dictionary, records within them too.
            fn to_dict<'py>(&self, py: pyo3::Python<'py>) -> pyo3::PyResult<pyo3::Bound<'py, pyo3::types::PyDict>> {
                $crate::record::to_dict(py, self)
            }

            fn __repr__(&self, py: pyo3::Python<'_>) -> pyo3::PyResult<String> {
                $crate::record::repr(py, self)
            }

            fn __eq__<'py>(
                &self,
                py: pyo3::Python<'py>,
                other: &pyo3::Bound<'py, pyo3::PyAny>,
            ) -> pyo3::PyResult<pyo3::Bound<'py, pyo3::PyAny>> {
                $crate::record::equal(py, self, other)
            }

            fn __hash__(&self, py: pyo3::Python<'_>) -> pyo3::PyResult<isize> {
                $crate::record::hash(py, self)
            }
        }
    };
}
pub(crate) use record;
