//! The platform as somebody uses it: an open platform, and who acts.

use std::future::Future;
use std::sync::Arc;

use platform_core::Platform;
use platform_core::kernel::{Context, CorrelationId, Result};
use pyo3::prelude::*;

use crate::call::Call;
use crate::core::Core;
use crate::error::raise;
use crate::wait::{Work, wait};

/// An open platform, with the context that its calls are given. Cheap to clone.
#[derive(Clone)]
pub(crate) struct View(Arc<Inner>);

struct Inner {
    core: Arc<Core>,
    context: Context,
    /// The caller said to which request the calls belong; otherwise each is one of its own.
    is_one_request: bool,
}

impl View {
    pub(crate) fn new(core: Arc<Core>, context: Context, is_one_request: bool) -> View {
        View(Arc::new(Inner { core, context, is_one_request }))
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.0.core
    }

    pub(crate) fn context(&self) -> &Context {
        &self.0.context
    }

    /// Makes a call of a domain into a future that owns what it needs.
    ///
    /// # Errors
    /// As [`Core::begin`]; `idempotency.invalid_key`.
    pub(crate) fn work<T, F>(
        &self,
        idempotency_key: Option<&str>,
        call: impl FnOnce(Platform, Context) -> F,
    ) -> Result<Work<T>>
    where
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let (platform, under_way) = self.0.core.begin()?;
        let mut context = self.0.context.clone();
        context.idempotency_key = idempotency_key.map(str::parse).transpose()?;
        if !self.0.is_one_request {
            context.correlation_id = CorrelationId::from_raw(platform.backends().runtime.new_id());
        }
        let call = call(platform, context);
        Ok(Box::pin(async move {
            // Until the call and all that it holds of the platform is gone.
            let _under_way = under_way;
            call.await
        }))
    }

    /// Calls and waits.
    ///
    /// # Errors
    /// As [`View::work`] and [`wait`].
    pub(crate) fn wait<T, F>(
        &self,
        py: Python<'_>,
        idempotency_key: Option<&str>,
        call: impl FnOnce(Platform, Context) -> F,
    ) -> PyResult<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let work = self.work(idempotency_key, call).map_err(|error| raise(py, &error))?;
        wait(py, self.0.core.handle(), work)
    }

    /// Makes a call that is to be awaited.
    pub(crate) fn call<T, F>(
        &self,
        name: &'static str,
        is_recalled: bool,
        idempotency_key: Option<String>,
        call: impl FnOnce(Platform, Context) -> F + Send + Sync + 'static,
    ) -> Call
    where
        T: for<'py> IntoPyObject<'py> + Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let view = self.clone();
        let core = Arc::clone(&self.0.core);
        Call::of_core(name, core, is_recalled, move || view.work(idempotency_key.as_deref(), call))
    }

    /// Calls what answers from memory and never waits.
    ///
    /// # Errors
    /// As [`Core::with`]; what the call returns.
    pub(crate) fn recall<T>(
        &self,
        py: Python<'_>,
        call: impl FnOnce(&Platform, &Context) -> Result<T>,
    ) -> PyResult<T> {
        self.0.core.with(|platform| call(platform, &self.0.context)).map_err(|error| raise(py, &error))
    }
}
