//! TLS to the server.

use std::path::PathBuf;

use super::*;

async fn opened(url: &str, ca_file: Option<PathBuf>) -> Result<Arc<dyn Store>> {
    let config = PostgresConfig { ca_file, ..PostgresConfig::new(url) };
    PostgresStores::new(config)?.open(&schema()).await
}

#[tokio::test]
async fn a_server_is_believed_by_its_certificate_only() {
    let (server, certificate) = Postgres::start_with_tls().unwrap();
    let url = |host: &str, mode: &str| {
        format!("postgres://postgres@{host}:{}/postgres?sslmode={mode}", server.port())
    };
    let store = opened(&url("localhost", "require"), Some(certificate.clone())).await.unwrap();
    assert_eq!(store.commit(writes(vec![put("a", "a")])).await.unwrap().position, 1);
    drop(store);
    // Another name, no certificate of ours, no TLS at all.
    let refused = [
        (url("127.0.0.1", "require"), Some(certificate.clone())),
        (url("localhost", "require"), None),
        (url("localhost", "disable"), Some(certificate)),
    ];
    for (url, ca_file) in refused {
        assert_eq!(opened(&url, ca_file).await.err().unwrap().code(), "store.unavailable", "{url}");
    }
}

#[test]
fn a_file_without_certificates_is_refused() {
    let file = tempfile::NamedTempFile::new().unwrap();
    for ca_file in [file.path().to_owned(), file.path().with_extension("missing")] {
        let config =
            PostgresConfig { ca_file: Some(ca_file), ..PostgresConfig::new("postgres://u@localhost/d") };
        assert_eq!(PostgresStores::new(config).err().unwrap().code(), "store.invalid_ca");
    }
}
