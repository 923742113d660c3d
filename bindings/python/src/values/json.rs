//! JSON: dictionaries, lists, texts, numbers, truth values and `None`.

use platform_core::kernel::{Error, limits};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};
use serde_json::{Map, Number, Value};

use crate::error::raise;
use crate::typed::Typed;

/// Any JSON.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Json(pub(crate) Value);

/// An object of JSON.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct JsonObject(pub(crate) Map<String, Value>);

impl Typed for Json {
    fn output() -> String {
        "Any".to_owned()
    }
}

impl Typed for JsonObject {
    fn output() -> String {
        "dict[str, Any]".to_owned()
    }

    fn input() -> String {
        "Mapping[str, Any]".to_owned()
    }
}

impl<'py> IntoPyObject<'py> for Json {
    type Target = PyAny;
    type Output = Bound<'py, PyAny>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        write(py, &self.0)
    }
}

impl<'py> IntoPyObject<'py> for JsonObject {
    type Target = PyAny;
    type Output = Bound<'py, PyAny>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        write_object(py, &self.0)
    }
}

impl FromPyObject<'_, '_> for Json {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Json> {
        read(&object.to_owned(), 0).map(Json)
    }
}

impl FromPyObject<'_, '_> for JsonObject {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<JsonObject> {
        match read(&object.to_owned(), 0)? {
            Value::Object(object) => Ok(JsonObject(object)),
            _ => Err(PyTypeError::new_err("expected a mapping with texts as keys")),
        }
    }
}

fn write<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        Value::Null => py.None().into_bound(py),
        Value::Bool(value) => PyBool::new(py, *value).to_owned().into_any(),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => number.into_pyobject(py)?.into_any(),
            (None, Some(number)) => number.into_pyobject(py)?.into_any(),
            (None, None) => PyFloat::new(py, number.as_f64().unwrap_or(f64::NAN)).into_any(),
        },
        Value::String(text) => PyString::new(py, text).into_any(),
        Value::Array(items) => {
            let list = PyList::empty(py);
            for item in items {
                list.append(write(py, item)?)?;
            }
            list.into_any()
        }
        Value::Object(fields) => write_object(py, fields)?,
    })
}

fn write_object<'py>(py: Python<'py>, fields: &Map<String, Value>) -> PyResult<Bound<'py, PyAny>> {
    let dict = PyDict::new(py);
    for (name, value) in fields {
        dict.set_item(name, write(py, value)?)?;
    }
    Ok(dict.into_any())
}

fn read(object: &Bound<'_, PyAny>, depth: usize) -> PyResult<Value> {
    if depth > limits::JSON_DEPTH {
        let error = Error::invalid("request.json_too_deep", "JSON is nested too deep");
        return Err(raise(object.py(), &error.with("limit", limits::JSON_DEPTH)));
    }
    if object.is_none() {
        return Ok(Value::Null);
    }
    if let Ok(text) = object.cast::<PyString>() {
        return Ok(Value::String(text.to_cow()?.into_owned()));
    }
    // Before the numbers: True is one of Python's integers.
    if let Ok(value) = object.cast::<PyBool>() {
        return Ok(Value::Bool(value.is_true()));
    }
    if object.is_instance_of::<PyInt>() {
        let number = object.extract::<i64>().map(Number::from);
        return number.or_else(|_| object.extract::<u64>().map(Number::from)).map(Value::Number).map_err(
            |_| {
                let error =
                    Error::invalid("request.invalid_number", "a whole number of JSON has at most 64 bits");
                raise(object.py(), &error)
            },
        );
    }
    if let Ok(number) = object.cast::<PyFloat>() {
        return Number::from_f64(number.value()).map(Value::Number).ok_or_else(|| {
            let error = Error::invalid("request.invalid_number", "JSON has no infinity and no NaN");
            raise(object.py(), &error)
        });
    }
    if object.is_instance_of::<PyList>() || object.is_instance_of::<PyTuple>() {
        let items = object.try_iter()?.map(|item| read(&item?, depth + 1));
        return items.collect::<PyResult<_>>().map(Value::Array);
    }
    read_mapping(object, depth)
}

/// A dictionary, or whatever else has `items`.
fn read_mapping(object: &Bound<'_, PyAny>, depth: usize) -> PyResult<Value> {
    let items = match object.cast::<PyDict>() {
        Ok(dict) => dict.items().into_any(),
        Err(_) if object.hasattr("items")? => object.call_method0("items")?,
        Err(_) => {
            let class = object.get_type().name()?;
            return Err(PyTypeError::new_err(format!("{class} is nothing that JSON has")));
        }
    };
    let mut fields = Map::new();
    for item in items.try_iter()? {
        let (name, value) = item?.extract::<(Bound<'_, PyAny>, Bound<'_, PyAny>)>()?;
        fields.insert(name.cast::<PyString>()?.to_cow()?.into_owned(), read(&value, depth + 1)?);
    }
    Ok(Value::Object(fields))
}
