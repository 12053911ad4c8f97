//! Owns what a client of `wss` meets: a root, and a certificate of it for this machine, made for one run of the harness. Their keys
//! are in memory only, and nothing but that client trusts them.

use std::io;
use std::path::Path;
use std::sync::Arc;

use graviola::signing::ecdsa::{P256, SigningKey};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PublicKeyData, SerialNumber, SignatureAlgorithm, date_time_ymd,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::server::TlsStream;

use super::gauge::Queues;
use super::host::Transport;
use super::launch::LaunchError;

/// What begins the note of a connection that came to nothing.
pub(super) const FAILED: &str = "a TLS handshake failed";
/// The most that one record of TLS holds.
const RECORD_BYTES: usize = 16 << 10;
/// The names that a client may dial.
const NAMES: [&str; 3] = ["127.0.0.1", "localhost", "::1"];
/// Room for a key of this curve in any of its forms, and for a signature.
const KEY_BYTES: usize = 256;
/// An uncompressed point is the end of its SubjectPublicKeyInfo.
const POINT_BYTES: usize = 65;

/// Makes a root, writes it to `root_file` as PEM, and hands back what takes connections with a certificate of it.
///
/// # Errors
/// The file cannot be written, or the system has no randomness.
pub(super) fn acceptor(root_file: &Path) -> Result<TlsAcceptor, LaunchError> {
    let made = make().map_err(|why| LaunchError::new("a certificate for --tls", &why))?;
    let written = std::fs::write(root_file, &made.root_pem);
    written.map_err(|error| LaunchError::new(&format!("the root for --tls in {}", root_file.display()), &error))?;
    Ok(TlsAcceptor::from(Arc::new(made.config)))
}

/// Takes a connection.
///
/// # Errors
/// The client does not speak TLS, or does not trust the root.
pub(super) async fn accept(acceptor: &TlsAcceptor, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
    // What it holds back is on its way for nobody who looks at the transport; one record is enough.
    acceptor.accept_with(stream, |session| session.set_buffer_limit(Some(RECORD_BYTES))).await
}

impl Transport for TlsStream<TcpStream> {
    fn reset(&self) {
        self.get_ref().0.reset();
    }

    fn farewell(&mut self) {
        let (tcp, tls) = self.get_mut();
        tls.send_close_notify();
        let mut rest = Vec::new();
        while tls.wants_write() && tls.write_tls(&mut rest).is_ok() {}
        let _ = tcp.try_write(&rest);
    }

    fn queues(&self) -> Queues {
        self.get_ref().0.queues()
    }
}

struct Made {
    root_pem: String,
    config: ServerConfig,
}

fn make() -> Result<Made, String> {
    let root_key = Key::new()?;
    let key = Key::new()?;
    let root = root(&root_key)?;
    let root_pem = root.self_signed(&root_key).map_err(text)?.pem();
    let certificate = leaf(&key)?.signed_by(&key, &Issuer::new(root, root_key)).map_err(text)?;
    let provider = Arc::new(rustls_graviola::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(text)?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key.pkcs8()?)
        .map_err(text)?;
    Ok(Made { root_pem, config })
}

fn root(key: &Key) -> Result<CertificateParams, String> {
    let mut params = params("Lastword, root of one run", 1, key)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn leaf(key: &Key) -> Result<CertificateParams, String> {
    let mut params = params("Lastword, scripted server", 2, key)?;
    params.subject_alt_names = CertificateParams::new(NAMES.map(str::to_owned)).map_err(text)?.subject_alt_names;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn params(name: &str, serial: u64, key: &Key) -> Result<CertificateParams, String> {
    let mut params = CertificateParams::new(Vec::new()).map_err(text)?;
    params.distinguished_name.push(DnType::CommonName, name);
    params.serial_number = Some(SerialNumber::from(serial));
    // As it lives for one run it need not say until when; both years can be written in the short form.
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2049, 12, 31));
    // Any name of the key will do; its last bytes are as good as a digest.
    params.key_identifier_method = KeyIdMethod::PreSpecified(key.point[POINT_BYTES - 20..].to_vec());
    Ok(params)
}

/// A key pair on P-256.
struct Key {
    key: SigningKey<P256>,
    point: Vec<u8>,
}

impl Key {
    fn new() -> Result<Self, String> {
        let key = SigningKey::<P256>::generate().map_err(text)?;
        let mut buffer = [0; KEY_BYTES];
        let info = key.to_spki_der(&mut buffer).map_err(text)?;
        let point = info.last_chunk::<POINT_BYTES>().ok_or("a public key is too short")?.to_vec();
        Ok(Self { key, point })
    }

    fn pkcs8(&self) -> Result<PrivateKeyDer<'static>, String> {
        let mut buffer = [0; KEY_BYTES];
        let key = self.key.to_pkcs8_der(&mut buffer).map_err(text)?;
        Ok(PrivatePkcs8KeyDer::from(key.to_vec()).into())
    }
}

impl PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        &self.point
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

impl rcgen::SigningKey for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let mut signature = [0; KEY_BYTES];
        let signed = self.key.sign_asn1::<graviola::hashing::Sha256>(&[message], &mut signature);
        signed.map(<[u8]>::to_vec).map_err(|_| rcgen::Error::RemoteKeyError)
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
