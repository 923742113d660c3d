//! The declaration of one endpoint.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Response};
use platform_core::gateway::Access;
use platform_core::kernel::{BoxFuture, Result, limits};

use super::Call;
use super::extract::{Extract, Received};
use super::openapi::Operation;
use super::reply::Reply;

type Run = Arc<dyn Fn(Call, Received) -> BoxFuture<'static, Result<Response<Bytes>>> + Send + Sync>;

/// One endpoint: method, path, access, what it takes and gives, and its handler.
#[derive(Clone)]
pub struct Endpoint {
    /// The method.
    pub method: Method,
    /// The path, with parameters in braces.
    pub path: &'static str,
    /// Who may call it. The facade checks again.
    pub access: Access,
    /// One sentence for the OpenAPI document.
    pub summary: &'static str,
    /// Whether `Idempotency-Key` is read.
    pub is_idempotent: bool,
    /// Whether `If-None-Match` is answered with 304.
    pub is_conditional: bool,
    describe: fn(&mut Operation),
    run: Run,
}

macro_rules! methods {
    ($($(#[$doc:meta])* $name:ident => $method:ident;)*) => {$(
        $(#[$doc])*
        pub fn $name<I>(path: &'static str, access: Access, summary: &'static str, handler: impl Handler<I>) -> Endpoint {
            Endpoint::new(Method::$method, path, access, summary, handler)
        }
    )*};
}

impl Endpoint {
    methods! {
        /// Reads.
        get => GET;
        /// Makes or does something.
        post => POST;
        /// Sets the whole of something.
        put => PUT;
        /// Changes parts of something.
        patch => PATCH;
        /// Removes something.
        delete => DELETE;
    }

    /// Bytes of a body at most: little from who is not known.
    pub(crate) fn body_limit(&self) -> usize {
        if self.access == Access::Open { limits::OPEN_BODY_BYTES } else { limits::BODY_BYTES }
    }

    fn new<I, H: Handler<I>>(
        method: Method,
        path: &'static str,
        access: Access,
        summary: &'static str,
        handler: H,
    ) -> Endpoint {
        Endpoint {
            is_conditional: method == Method::GET,
            method,
            path,
            access,
            summary,
            is_idempotent: false,
            describe: H::describe,
            run: Arc::new(move |call, received| handler.handle(call, received)),
        }
    }

    /// What it takes and gives, for the OpenAPI document: put together only when somebody asks.
    pub fn operation(&self) -> Operation {
        let mut operation = Operation::new(self.path);
        (self.describe)(&mut operation);
        operation
    }

    /// Reads `Idempotency-Key` into the context.
    #[must_use]
    pub fn idempotent(mut self) -> Endpoint {
        self.is_idempotent = true;
        self
    }

    /// Answers `If-None-Match` also though it is no GET.
    #[must_use]
    pub fn conditional(mut self) -> Endpoint {
        self.is_conditional = true;
        self
    }

    /// Runs the handler.
    pub(crate) fn run(&self, call: Call, received: Received) -> BoxFuture<'static, Result<Response<Bytes>>> {
        (self.run)(call, received)
    }
}

/// A function `async fn(Call, extractors…) -> Result<impl Reply>`.
pub trait Handler<I>: Send + Sync + 'static {
    /// Adds to the OpenAPI document what it takes and gives.
    fn describe(operation: &mut Operation);

    /// Parses, runs, renders.
    fn handle(&self, call: Call, received: Received) -> BoxFuture<'static, Result<Response<Bytes>>>;
}

macro_rules! handlers {
    ($($input:ident)*) => {
        impl<F, Fut, R, $($input,)*> Handler<($($input,)*)> for F
        where
            F: Fn(Call, $($input,)*) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = Result<R>> + Send + 'static,
            R: Reply,
            $($input: Extract,)*
        {
            fn describe(operation: &mut Operation) {
                $($input::describe(operation);)*
                R::describe(operation);
            }

            #[allow(non_snake_case, unused_variables)]
            fn handle(&self, call: Call, received: Received) -> BoxFuture<'static, Result<Response<Bytes>>> {
                // Everything is parsed before the handler begins, so a refused request has no effect.
                $(let $input = match $input::extract(&received) {
                    Ok(parsed) => parsed,
                    Err(error) => return Box::pin(std::future::ready(Err(error))),
                };)*
                let running = self(call, $($input,)*);
                Box::pin(async move { running.await?.into_response() })
            }
        }
    };
}

handlers! {}
handlers! { A }
handlers! { A B }
handlers! { A B C }
handlers! { A B C D }
handlers! { A B C D E }
