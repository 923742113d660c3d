//! The table of methods: each is one entry in the file of its domain.

use futures_util::future::BoxFuture;
use platform_core::Platform;
use platform_core::kernel::{Context, Result};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::not_an_argument;

/// A method of a facade, called with arguments of JSON.
pub(crate) struct Method {
    /// `domain.method`.
    pub(crate) name: &'static str,
    /// Calls it.
    pub(crate) call: fn(Platform, Context, Arguments) -> BoxFuture<'static, Result<Value>>,
}

/// Every method.
pub(crate) fn known() -> impl Iterator<Item = &'static Method> {
    let domains = [
        crate::audit::METHODS,
        crate::auth::METHODS,
        crate::dead_letters::METHODS,
        crate::flags::METHODS,
        crate::gateway::METHODS,
        crate::notifications::METHODS,
        crate::transactions::METHODS,
        crate::users::METHODS,
    ];
    domains.into_iter().flatten()
}

/// Arguments that were not taken yet.
pub(crate) struct Arguments(pub(crate) Map<String, Value>);

impl Arguments {
    /// One of them; one that is not given is null.
    pub(crate) fn take<T: DeserializeOwned>(&mut self, name: &str) -> Result<T> {
        let value = self.0.remove(name).unwrap_or_default();
        serde_json::from_value(value).map_err(|error| not_an_argument(name, &error))
    }

    /// All that are left, as one request.
    pub(crate) fn rest<T: DeserializeOwned>(&mut self) -> Result<T> {
        let rest = std::mem::take(&mut self.0);
        serde_json::from_value(Value::Object(rest)).map_err(|error| not_an_argument("the rest", &error))
    }

    /// Refuses what is left.
    pub(crate) fn end(&mut self) -> Result<()> {
        let left = std::mem::take(&mut self.0).into_iter().next();
        left.map_or(Ok(()), |(name, _)| Err(not_an_argument(&name, &"there is no such argument")))
    }
}

/// Declares the methods of a domain:
///
/// ```text
/// call get(user: UserId) |platform, context| platform.users().get(&context, user).await => versioned;
/// list search(; search: ProfileSearch) |platform, context, page|
///     platform.users().search(&context, &search, &page).await => versioned;
/// ```
///
/// Arguments have the names that they have in Python; what stands behind a `;` is read from all that are left. Behind
/// the `=>` is what makes the result (of a list: each item) plain data. A list is read page after page.
macro_rules! methods {
    ($domain:ident: $(
        $kind:ident $name:ident($($argument:ident: $type:ty),* $(; $rest:ident: $rest_type:ty)?)
        |$platform:ident, $context:ident $(, $page:ident)?| $body:expr => $shape:expr;
    )*) => {
        pub(crate) const METHODS: &[$crate::table::Method] = &[$($crate::table::Method {
            name: concat!(stringify!($domain), ".", stringify!($name)),
            call: |$platform, $context, mut arguments| Box::pin(async move {
                $(let $argument: $type = arguments.take(stringify!($argument))?;)*
                $(let $rest: $rest_type = arguments.rest()?;)?
                arguments.end()?;
                $crate::table::$kind!($($page,)? $body, $shape)
            }),
        }),*];
    };
}
pub(crate) use methods;

/// The result of one call.
macro_rules! call {
    ($body:expr, $shape:expr) => {
        $body.map($shape)
    };
}
pub(crate) use call;

/// The items of all pages.
macro_rules! list {
    ($page:ident, $body:expr, $shape:expr) => {{
        // Small pages, so that there are many.
        let mut next = platform_core::kernel::PageRequest { limit: Some(2), cursor: None };
        let mut found = Vec::new();
        loop {
            let $page = next.clone();
            let page: platform_core::kernel::Page<_> = $body?;
            found.extend(page.items.into_iter().map($shape));
            next.cursor = page.next_cursor;
            if next.cursor.is_none() {
                break Ok(serde_json::Value::Array(found));
            }
        }
    }};
}
pub(crate) use list;
