//! The binary `platform`.

use std::io::Write;
use std::sync::Arc;

use platform_server::app::App;
use platform_server::http_server::{HttpServer, Limits};
use platform_server::rest;
use platform_server::server::Server;

fn main() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let http = HttpServer::bind(([127, 0, 0, 1], 3000).into(), Limits::default(), None)?;
        let app = Arc::new(App::new(Arc::new(Server::default()), &rest::table()));
        let (_stop, stopped) = tokio::sync::watch::channel(false);
        writeln!(std::io::stdout(), "listening on http://{}", http.address()?)?;
        http.run(app, stopped).await;
        Ok(())
    })
}
