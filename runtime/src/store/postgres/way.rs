//! The way to the server: open, or kept from others by TLS.

use std::fmt;
use std::sync::Weak;

use deadpool_postgres::{Manager, ManagerConfig, RecyclingMethod};
use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, Config, NoTls};

use super::line::{Line, listen};
use super::options::PostgresOptions;

type Refusal = Box<dyn std::error::Error + Send + Sync>;

/// How the way to the server is kept from others. TLS is used where the address asks for it, and then the certificate is
/// checked: half of it would be no protection.
#[derive(Clone)]
pub(super) enum Way {
    Open,
    #[cfg(feature = "postgres-tls")]
    Encrypted(tokio_postgres_rustls::MakeRustlsConnect),
}

impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Way").finish_non_exhaustive()
    }
}

impl Way {
    pub(super) fn of(config: &mut Config, options: &PostgresOptions) -> Result<Self, Refusal> {
        if config.get_ssl_mode() == SslMode::Require {
            return Self::encrypted(options);
        }
        #[cfg(feature = "postgres-tls")]
        if options.ca_certificates.is_some() {
            return Err("certificates are to be trusted, and the address does not say `sslmode=require`".into());
        }
        config.ssl_mode(SslMode::Disable);
        Ok(Self::Open)
    }

    #[cfg(feature = "postgres-tls")]
    fn encrypted(options: &PostgresOptions) -> Result<Self, Refusal> {
        use rustls::pki_types::CertificateDer;
        use rustls::pki_types::pem::PemObject;

        let found = rustls_native_certs::load_native_certs();
        let mut roots = rustls::RootCertStore::empty();
        roots.add_parsable_certificates(found.certs);
        if let Some(pem) = &options.ca_certificates {
            let own = CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<Vec<_>, _>>()?;
            if own.is_empty() {
                return Err("there is no certificate in PEM form among those that are to be trusted".into());
            }
            own.into_iter().try_for_each(|certificate| roots.add(certificate))?;
        }
        if roots.is_empty() {
            return Err("the system trusts no certificates".into());
        }
        // Not the provider of the process: there may be none, or two.
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let tls = tls.with_root_certificates(roots).with_no_client_auth();
        Ok(Self::Encrypted(tokio_postgres_rustls::MakeRustlsConnect::new(tls)))
    }

    #[cfg(not(feature = "postgres-tls"))]
    fn encrypted(_options: &PostgresOptions) -> Result<Self, Refusal> {
        Err("`sslmode=require` needs the feature `postgres-tls`".into())
    }

    pub(super) async fn connect(&self, config: &Config, line: Weak<Line>) -> Result<Client, tokio_postgres::Error> {
        match self {
            Self::Open => {
                let (client, connection) = config.connect(NoTls).await?;
                listen(connection, line);
                Ok(client)
            }
            #[cfg(feature = "postgres-tls")]
            Self::Encrypted(tls) => {
                let (client, connection) = config.connect(tls.clone()).await?;
                listen(connection, line);
                Ok(client)
            }
        }
    }

    pub(super) fn manager(&self, config: Config) -> Manager {
        let own = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        match self {
            Self::Open => Manager::from_config(config, NoTls, own),
            #[cfg(feature = "postgres-tls")]
            Self::Encrypted(tls) => Manager::from_config(config, tls.clone(), own),
        }
    }
}
