//! Owns the TLS configuration of `wss`: which roots are trusted, and a provider that needs no C compiler.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// Whom a `wss` subject's certificate must come from.
#[derive(Clone, Debug, Default)]
pub enum Roots {
    /// The public roots that browsers trust.
    #[default]
    Public,
    /// Those and the ones of this PEM file.
    With(PathBuf),
}

/// Why no TLS configuration could be made. The caller's fault.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the certificates of {}: {detail}", path.display())]
pub struct TlsError {
    path: PathBuf,
    detail: String,
}

/// A connector that trusts these roots.
///
/// # Errors
/// The PEM file cannot be read or holds no certificate.
pub(crate) fn connector(roots: &Roots) -> Result<TlsConnector, TlsError> {
    let mut store = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Roots::With(path) = roots {
        add(&mut store, path)?;
    }
    let provider = Arc::new(rustls_graviola::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError { path: PathBuf::new(), detail: error.to_string() })?
        .with_root_certificates(store)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

fn add(store: &mut RootCertStore, path: &Path) -> Result<(), TlsError> {
    let wrong = |detail: String| TlsError { path: path.to_owned(), detail };
    let mut found = 0;
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| wrong(error.to_string()))? {
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        store.add(certificate).map_err(|error| wrong(error.to_string()))?;
        found += 1;
    }
    if found == 0 { Err(wrong("there is no certificate in it".into())) } else { Ok(()) }
}
