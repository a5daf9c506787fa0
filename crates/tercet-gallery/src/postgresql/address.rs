//! Parses the address of a database: the server, the user, and how the connection is protected.

use std::env;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use postgres::Config;
use postgres::config::{Host, SslMode};

use super::password;
use crate::{Error, shown};

/// How long a server may take to accept a connection, where neither the address nor
/// `PGCONNECT_TIMEOUT` sets another time.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The idle time after which a keepalive probe is sent on a connection, and the time until a server
/// that does not answer is considered lost.
const SILENCE: Duration = Duration::from_secs(30);

/// How the server's certificate is checked; the names are those of libpq's `sslmode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Check {
    /// `disable`, `allow`, `prefer` and `require`: no check. The connection may be encrypted, but
    /// an attacker between client and server could read it.
    Nothing,
    /// `verify-ca`: the certificate must be signed by a trusted authority.
    Authority,
    /// `verify-full`: it must also be issued for this host.
    AuthorityAndHost,
}

/// The certificate authorities that the client trusts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Roots {
    /// The authorities of the operating system.
    System,
    /// The authorities of a PEM file.
    File(PathBuf),
}

/// A parsed address.
#[derive(Clone)]
pub(super) struct Address {
    pub(super) config: Config,
    pub(super) check: Check,
    pub(super) roots: Roots,
    /// The address without user, password and options, for messages and logs.
    pub(super) shown: String,
    /// Why a password file was not used; reported if the server then asks for a password.
    pub(super) unused_passwords: Option<String>,
}

impl Address {
    /// Parses an address: the parameters of libpq that the client library supports, and `sslmode`,
    /// `sslrootcert` and `passfile` with the same meaning as in libpq. For parameters that the
    /// address omits, `PGSSLMODE`, `PGSSLROOTCERT`, `PGCONNECT_TIMEOUT`, `PGPASSWORD` and the
    /// password file are used.
    ///
    /// # Errors
    /// A parameter that is unknown or has an invalid value; client certificates, which are not
    /// supported.
    pub(super) fn parse(address: &str) -> Result<Self, Error> {
        let shown = shown(address);
        let refuse = |reason: String| Error::Address { location: shown.clone(), reason };
        let (plain, mut own) = own_parameters(address).map_err(refuse)?;
        let mut config = Config::from_str(&plain).map_err(|error| {
            let source = std::error::Error::source(&error);
            refuse(source.map_or_else(|| error.to_string(), ToString::to_string))
        })?;
        let mut take = |name: &str, variable: &str| {
            own.remove(name).or_else(|| env::var(variable).ok()).filter(|value| !value.is_empty())
        };
        let mode = take("sslmode", "PGSSLMODE");
        let root = take("sslrootcert", "PGSSLROOTCERT");
        let file = take("passfile", "PGPASSFILE");
        let roots = match root.as_deref() {
            Some("system") => Some(Roots::System),
            Some(path) => Some(Roots::File(path.into())),
            None => home(".postgresql/root.crt").filter(|path| path.exists()).map(Roots::File),
        };
        let (ssl, check) = match mode.as_deref().unwrap_or("prefer") {
            "disable" => (SslMode::Disable, Check::Nothing),
            "allow" | "prefer" => (SslMode::Prefer, Check::Nothing),
            // As in libpq: if an authority is given, it is also required.
            "require" if root.is_some() => (SslMode::Require, Check::Authority),
            "require" => (SslMode::Require, Check::Nothing),
            "verify-ca" => (SslMode::Require, Check::Authority),
            "verify-full" => (SslMode::Require, Check::AuthorityAndHost),
            other => {
                return Err(refuse(format!(
                    "sslmode is `{other}`: expected disable, allow, prefer, require, verify-ca or \
                     verify-full"
                )));
            }
        };
        // A connection over a local socket has no certificate and does not leave the machine.
        let local = config.get_hostaddrs().is_empty()
            && config.get_hosts().iter().all(|host| matches!(host, Host::Unix(_)));
        config.ssl_mode(if local { SslMode::Disable } else { ssl });
        if config.get_connect_timeout().is_none() {
            let seconds = env::var("PGCONNECT_TIMEOUT").ok().and_then(|text| text.parse().ok());
            config.connect_timeout(seconds.map_or(CONNECT_TIMEOUT, Duration::from_secs));
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(SILENCE);
        }
        if !plain.contains("keepalives_idle") {
            config.keepalives_idle(SILENCE).keepalives_interval(SILENCE / 3);
        }
        if config.get_application_name().is_none() {
            config.application_name("tercet");
        }
        let mut unused_passwords = None;
        if config.get_password().is_none() {
            let file = file.map(PathBuf::from).or_else(|| home(".pgpass"));
            match password::find(&config, file.as_deref()) {
                Ok(Some(password)) => _ = config.password(password),
                Ok(None) => {}
                Err(reason) => unused_passwords = Some(reason),
            }
        }
        let roots = roots.unwrap_or(Roots::System);
        Ok(Self { config, check, roots, shown, unused_passwords })
    }
}

fn home(file: &str) -> Option<PathBuf> {
    Some(PathBuf::from(env::var_os("HOME")?).join(file))
}

/// Splits an address into the address without the parameters that are parsed here, and these
/// parameters.
fn own_parameters(
    address: &str,
) -> Result<(String, std::collections::BTreeMap<String, String>), String> {
    let Some((base, query)) = address.split_once('?') else {
        return Ok((address.to_owned(), std::collections::BTreeMap::new()));
    };
    let (mut own, mut rest) = (std::collections::BTreeMap::new(), Vec::new());
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').ok_or_else(|| {
            format!("the parameter `{parameter}` has no value: expected NAME=VALUE")
        })?;
        match name {
            "sslmode" | "sslrootcert" | "passfile" => {
                own.insert(name.to_owned(), decoded(value)?);
            }
            "sslcert" | "sslkey" => {
                return Err(format!(
                    "{name}: certificates of clients are not supported; sign in by a password"
                ));
            }
            _ => rest.push(parameter),
        }
    }
    let join = if rest.is_empty() { "" } else { "?" };
    Ok((format!("{base}{join}{}", rest.join("&")), own))
}

/// Decodes `%2F` and similar escapes.
fn decoded(text: &str) -> Result<String, String> {
    let refused = || format!("`{text}` is not percent-encoded text");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        let (high, low) = (digit(rest.next()), digit(rest.next()));
        let (high, low) = high.zip(low).ok_or_else(refused)?;
        bytes.push((16 * high + low) as u8);
    }
    String::from_utf8(bytes).map_err(|_| refused())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(rest: &str) -> Result<Address, String> {
        let address = format!("postgres://ann:secret@host/faces{rest}");
        Address::parse(&address).map_err(|error| error.to_string())
    }

    #[test]
    fn sslmode_chooses_encryption_and_what_is_checked() {
        for (mode, ssl, check) in [
            ("?sslmode=disable", SslMode::Disable, Check::Nothing),
            ("?sslmode=prefer", SslMode::Prefer, Check::Nothing),
            ("?sslmode=allow", SslMode::Prefer, Check::Nothing),
            ("?sslmode=require", SslMode::Require, Check::Nothing),
            ("?sslmode=require&sslrootcert=%2Fca.pem", SslMode::Require, Check::Authority),
            ("?sslmode=verify-ca", SslMode::Require, Check::Authority),
            ("?connect_timeout=3&sslmode=verify-full", SslMode::Require, Check::AuthorityAndHost),
        ] {
            let address = parse(mode).unwrap();
            assert_eq!((address.config.get_ssl_mode(), address.check), (ssl, check), "{mode}");
        }
        let file = parse("?sslmode=verify-ca&sslrootcert=%2Fca.pem").unwrap();
        assert_eq!(file.roots, Roots::File("/ca.pem".into()));
        assert_eq!(parse("?sslrootcert=system&sslmode=verify-ca").unwrap().roots, Roots::System);
        // No certificate can be required on a socket of this machine.
        let local = Address::parse("postgres://ann@/faces?host=/run&sslmode=verify-full").unwrap();
        assert_eq!(local.config.get_ssl_mode(), SslMode::Disable);
    }

    #[test]
    fn connections_have_time_limits() {
        let address = parse("").unwrap();
        assert_eq!(address.config.get_connect_timeout(), Some(&CONNECT_TIMEOUT));
        assert_eq!(address.config.get_tcp_user_timeout(), Some(&SILENCE));
        let given = parse("?connect_timeout=3").unwrap();
        assert_eq!(given.config.get_connect_timeout(), Some(&Duration::from_secs(3)));
    }

    #[test]
    fn odd_parameters_are_refused_without_the_password() {
        for (rest, words) in [
            ("?sslmode=on", "sslmode is `on`: expected disable"),
            ("?sslmode", "`sslmode` has no value"),
            ("?sslcert=a.pem", "sslcert: certificates of clients"),
            ("?sslrootcert=%zz", "percent-encoded"),
            ("?colour=red", "colour"),
            ("?connect_timeout=soon", "connect_timeout"),
        ] {
            let error = parse(rest).err().unwrap();
            assert!(error.contains("postgres://host/faces"), "{error}");
            assert!(error.contains(words) && !error.contains("secret"), "{rest}: {error}");
        }
    }
}
