//! A domain as two classes, one that waits and one that is awaited, from one table of methods.

/// Declares the classes of a domain. Each method is one entry:
///
/// ```text
/// /// What it does. Raises …
/// query get(user: Id<UserId>) -> Profile,
/// example {
///     /// >>> p.users.get(ada.id).name
///     /// 'Ada'
/// },
/// |platform, context| platform.users().get(&context, user.0).await;
/// ```
///
/// The first word says how it is called:
/// - `query`: reads, or is repeated safely by ids of the caller's. Awaited, it runs on the platform's threads.
/// - `command`: changes something; it has the keyword `idempotency_key`.
/// - `recall`: an `async` method of the core that is answered from memory nearly always: tried at once.
/// - `memory`: a method of the core that is not `async`; it is not awaited in the asynchronous class either. Its
///   platform and its context are references.
/// - `pages`: a list; its closure has a third argument, the `PageRequest`, and runs once for each page.
///
/// Arguments behind a `;` are keywords and have a default: `None`, `true`, `false`, a number, or `Unset` (`...` in
/// Python). What the core returns becomes the class that is named, by `From`. The docs and the example are the docstring
/// of the method (the example runs as a doctest), and both stand in the stubs.
macro_rules! domain {
    (
        $(#[doc = $class_doc:tt])*
        $sync:ident, $async:ident;
        $(
            $(#[doc = $doc:tt])*
            $kind:ident $name:ident $arguments:tt -> $returns:ty,
            example { $($example:tt)* },
            |$($given:ident),+| $body:expr;
        )*
    ) => {
        $(#[doc = $class_doc])*
        #[pyo3::pyclass(frozen, module = "platform_core")]
        pub(crate) struct $sync(pub(crate) $crate::view::View);

        $(#[doc = $class_doc])*
        #[pyo3::pyclass(frozen, module = "platform_core")]
        pub(crate) struct $async(pub(crate) $crate::view::View);

        $($crate::domain::method! {
            $kind $sync $async [$($doc)*] $name $arguments $returns { $($example)* } [$($given),+] $body
        })*

        impl $sync {
            /// What the stubs say of the two classes.
            pub(crate) fn stubs() -> [$crate::stubs::Class; 2] {
                use $crate::stubs::{Class, Method};
                let methods: Vec<Method> = vec![$($crate::domain::described! {
                    $kind [$($doc)*] $name $arguments $returns { $($example)* }
                }),*];
                let doc = &[$($class_doc),*];
                Class::domain(stringify!($sync), stringify!($async), doc, methods)
            }
        }
    };
}
pub(crate) use domain;

/// The methods of both classes for one entry.
macro_rules! method {
    (
        query $sync:ident $async:ident $doc:tt $name:ident
        ($($arg:ident: $type:ty),* $(; $($word:ident: $word_type:ty = $default:tt),+)?)
        $returns:ty { $(#[doc = $example:tt])* } [$platform:ident, $context:ident] $body:expr
    ) => {
        $crate::domain::awaited! {
            $sync $async $doc $name ($($arg: $type),*) ($($($word: $word_type = $default),+)?)
            [$($example)*] false (None) $returns [$platform, $context] $body
        }
    };
    (
        recall $sync:ident $async:ident $doc:tt $name:ident
        ($($arg:ident: $type:ty),* $(; $($word:ident: $word_type:ty = $default:tt),+)?)
        $returns:ty { $(#[doc = $example:tt])* } [$platform:ident, $context:ident] $body:expr
    ) => {
        $crate::domain::awaited! {
            $sync $async $doc $name ($($arg: $type),*) ($($($word: $word_type = $default),+)?)
            [$($example)*] true (None) $returns [$platform, $context] $body
        }
    };
    (
        command $sync:ident $async:ident $doc:tt $name:ident
        ($($arg:ident: $type:ty),* $(; $($word:ident: $word_type:ty = $default:tt),+)?)
        $returns:ty { $(#[doc = $example:tt])* } [$platform:ident, $context:ident] $body:expr
    ) => {
        $crate::domain::awaited! {
            $sync $async $doc $name ($($arg: $type),*)
            ($($($word: $word_type = $default,)+)? idempotency_key: Option<String> = None)
            [$($example)*] false (idempotency_key) $returns [$platform, $context] $body
        }
    };
    (
        memory $sync:ident $async:ident [$($doc:tt)*] $name:ident
        ($($arg:ident: $type:ty),* $(; $($word:ident: $word_type:ty = $default:tt),+)?)
        $returns:ty { $(#[doc = $example:tt])* } [$platform:ident, $context:ident] $body:expr
    ) => {
        #[pyo3::pymethods]
        impl $sync {
            $(#[doc = $doc])*
            #[doc = ""]
            $(#[doc = $example])*
            #[pyo3(signature = ($($arg,)* $(*, $($word = $default),+)?))]
            #[allow(clippy::too_many_arguments, clippy::unit_arg)]
            fn $name(&self, py: pyo3::Python<'_>, $($arg: $type,)* $($($word: $word_type),+)?) -> pyo3::PyResult<$returns> {
                self.0.recall(py, |$platform, $context| $body.map(<$returns>::from))
            }
        }

        #[pyo3::pymethods]
        impl $async {
            $(#[doc = $doc])*
            #[doc = ""]
            #[doc = concat!("It is answered from memory and not awaited. An example: ``", stringify!($sync), ".", stringify!($name), "``.")]
            #[pyo3(signature = ($($arg,)* $(*, $($word = $default),+)?))]
            #[allow(clippy::too_many_arguments, clippy::unit_arg)]
            fn $name(&self, py: pyo3::Python<'_>, $($arg: $type,)* $($($word: $word_type),+)?) -> pyo3::PyResult<$returns> {
                self.0.recall(py, |$platform, $context| $body.map(<$returns>::from))
            }
        }
    };
    (
        pages $sync:ident $async:ident [$($doc:tt)*] $name:ident
        ($($arg:ident: $type:ty),* $(; $($word:ident: $word_type:ty = $default:tt),+)?)
        $returns:ty { $(#[doc = $example:tt])* } [$platform:ident, $context:ident, $page:ident] $body:expr
    ) => {
        $crate::domain::listed! {
            $sync Pages [$(#[doc = $doc])* #[doc = ""] $(#[doc = $example])*]
            $name ($($arg: $type),*) ($($($word: $word_type = $default),+)?) $returns [$platform, $context, $page] $body
        }
        $crate::domain::listed! {
            $async AsyncPages [
                $(#[doc = $doc])*
                #[doc = ""]
                #[doc = concat!("To be read with ``async for``. An example: ``", stringify!($sync), ".", stringify!($name), "``.")]
            ]
            $name ($($arg: $type),*) ($($($word: $word_type = $default),+)?) $returns [$platform, $context, $page] $body
        }
    };
}
pub(crate) use method;

/// A method that waits, and the one that is awaited.
macro_rules! awaited {
    (
        $sync:ident $async:ident [$($doc:tt)*] $name:ident ($($arg:ident: $type:ty),*)
        ($($word:ident: $word_type:ty = $default:tt),*) [$($example:tt)*] $is_recalled:literal ($key:ident)
        $returns:ty [$platform:ident, $context:ident] $body:expr
    ) => {
        #[pyo3::pymethods]
        impl $sync {
            $(#[doc = $doc])*
            #[doc = ""]
            $(#[doc = $example])*
            #[pyo3(signature = ($($arg,)* *, $($word = $default),*))]
            #[allow(clippy::too_many_arguments, clippy::unit_arg)]
            fn $name(&self, py: pyo3::Python<'_>, $($arg: $type,)* $($word: $word_type,)*) -> pyo3::PyResult<$returns> {
                let key: Option<String> = $key;
                self.0.wait(py, key.as_deref(), move |$platform, $context| async move {
                    platform_core::kernel::Result::map($body, <$returns>::from)
                })
            }
        }

        #[pyo3::pymethods]
        impl $async {
            $(#[doc = $doc])*
            #[doc = ""]
            #[doc = concat!("To be awaited. An example: ``", stringify!($sync), ".", stringify!($name), "``.")]
            #[pyo3(signature = ($($arg,)* *, $($word = $default),*))]
            #[allow(clippy::too_many_arguments, clippy::unit_arg)]
            fn $name(&self, $($arg: $type,)* $($word: $word_type,)*) -> $crate::call::Call {
                let key: Option<String> = $key;
                self.0.call(stringify!($name), $is_recalled, key, move |$platform, $context| async move {
                    platform_core::kernel::Result::map($body, <$returns>::from)
                })
            }
        }
    };
}
pub(crate) use awaited;

/// The method of one class for a list.
macro_rules! listed {
    (
        $class:ident $pages:ident [$($doc:tt)*] $name:ident ($($arg:ident: $type:ty),*)
        ($($word:ident: $word_type:ty = $default:tt),*)
        $returns:ty [$platform:ident, $context:ident, $page:ident] $body:expr
    ) => {
        #[pyo3::pymethods]
        impl $class {
            $($doc)*
            #[pyo3(signature = ($($arg,)* *, $($word = $default),*))]
            #[allow(clippy::clone_on_copy)]
            fn $name(&self, $($arg: $type,)* $($word: $word_type,)*) -> $crate::pages::$pages {
                $crate::pages::$pages($crate::pages::List::new(&self.0, move |$platform, $context, $page| {
                    $(let $arg = $arg.clone();)*
                    $(let $word = $word.clone();)*
                    Box::pin(async move {
                        let page: platform_core::kernel::Page<_> = $body?;
                        Ok($crate::pages::Fetched::of::<_, $returns>(page))
                    })
                }))
            }
        }
    };
}
pub(crate) use listed;

/// What the stubs say of a method.
macro_rules! described {
    (
        $kind:ident [$($doc:tt)*] $name:ident
        ($($arg:ident: $type:ty),* $(; $($word:ident: $word_type:ty = $default:tt),+)?)
        $returns:ty { $(#[doc = $example:tt])* }
    ) => {
        Method {
            kind: stringify!($kind),
            is_awaited: false,
            name: stringify!($name),
            doc: &[$($doc),*],
            example: &[$($example),*],
            parameters: vec![
                $($crate::stubs::Parameter {
                    name: stringify!($arg),
                    hint: <$type as $crate::typed::Typed>::input(),
                    default: None,
                },)*
                $($($crate::stubs::Parameter {
                    name: stringify!($word),
                    hint: <$word_type as $crate::typed::Typed>::input(),
                    default: Some(stringify!($default)),
                },)+)?
            ],
            returns: <$returns as $crate::typed::Typed>::output(),
        }
    };
}
pub(crate) use described;
