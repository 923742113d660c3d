//! Mappings: any comes in, a `dict` goes out.

use std::collections::BTreeMap;

use pyo3::prelude::*;
use pyo3::types::{IntoPyDict, PyDict};

use crate::typed::Typed;

/// Values by their keys, in an order of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mapping<K, V>(Vec<(K, V)>);

impl<K, V> Mapping<K, V> {
    /// As the core has it.
    pub(crate) fn into_map<CK: Ord, CV>(self, key: fn(K) -> CK, value: fn(V) -> CV) -> BTreeMap<CK, CV> {
        self.0.into_iter().map(|(name, held)| (key(name), value(held))).collect()
    }
}

impl<CK: Into<K>, CV: Into<V>, K, V> From<Vec<(CK, CV)>> for Mapping<K, V> {
    fn from(pairs: Vec<(CK, CV)>) -> Mapping<K, V> {
        Mapping(pairs.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
    }
}

impl<CK: Into<K>, CV: Into<V>, K, V> From<BTreeMap<CK, CV>> for Mapping<K, V> {
    fn from(map: BTreeMap<CK, CV>) -> Mapping<K, V> {
        Mapping(map.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
    }
}

impl<K: Typed, V: Typed> Typed for Mapping<K, V> {
    fn output() -> String {
        format!("dict[{}, {}]", K::output(), V::output())
    }

    fn input() -> String {
        format!("Mapping[{}, {}]", K::input(), V::input())
    }
}

impl<'py, K: IntoPyObject<'py>, V: IntoPyObject<'py>> IntoPyObject<'py> for Mapping<K, V> {
    type Target = PyDict;
    type Output = Bound<'py, PyDict>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        self.0.into_py_dict(py)
    }
}

impl<'py, K, V> FromPyObject<'_, 'py> for Mapping<K, V>
where
    K: for<'a> FromPyObject<'a, 'py>,
    V: for<'a> FromPyObject<'a, 'py>,
{
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Mapping<K, V>> {
        let pairs = object.call_method0("items")?;
        pairs.try_iter()?.map(|pair| pair?.extract::<(K, V)>()).collect::<PyResult<_>>().map(Mapping)
    }
}
