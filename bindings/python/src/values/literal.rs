//! Closed lists of words: strings in Python, `Literal[…]` in the stubs.

/// Declares the words of an enumeration of the core. The list is compared with the core's own names by the
/// compiler (every variant has to be there).
macro_rules! literal {
    ($(#[$doc:meta])* $name:ident: $core:ty { $($variant:ident = $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) struct $name(pub(crate) $core);

        impl $name {
            #[allow(dead_code, reason = "not every list is asked for by name")]
            pub(crate) fn text(self) -> &'static str {
                type Core = $core;
                match self.0 {
                    $(Core::$variant => $text,)*
                }
            }
        }

        impl $crate::typed::Typed for $name {
            fn output() -> String {
                let words: Vec<String> = [$($text),*].iter().map(|word| format!("\"{word}\"")).collect();
                format!("Literal[{}]", words.join(", "))
            }
        }

        impl<'py> pyo3::IntoPyObject<'py> for $name {
            type Target = pyo3::types::PyString;
            type Output = pyo3::Bound<'py, pyo3::types::PyString>;
            type Error = pyo3::PyErr;

            fn into_pyobject(self, py: pyo3::Python<'py>) -> pyo3::PyResult<Self::Output> {
                Ok(pyo3::types::PyString::new(py, self.text()))
            }
        }

        impl pyo3::FromPyObject<'_, '_> for $name {
            type Error = pyo3::PyErr;

            fn extract(object: pyo3::Borrowed<'_, '_, pyo3::PyAny>) -> pyo3::PyResult<$name> {
                use pyo3::types::PyStringMethods;
                type Core = $core;
                let text = object.cast::<pyo3::types::PyString>()?;
                match &*text.to_cow()? {
                    $($text => Ok($name(Core::$variant)),)*
                    other => {
                        let error = platform_core::kernel::Error::invalid(
                            "request.invalid_word",
                            concat!("not one of: ", $("\"", $text, "\" "),*),
                        );
                        Err($crate::error::raise(object.py(), &error.with("is", other)))
                    }
                }
            }
        }
    };
}
pub(crate) use literal;
