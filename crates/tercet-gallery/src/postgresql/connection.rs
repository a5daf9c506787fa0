//! Opens a connection with a search path of one schema and time limits.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use postgres::Client;

use super::address::Address;
use super::tls;
use crate::Error;

/// The time limit of a reader's statement, where the address, the role or the database sets none.
pub(super) const READING: &str = "60s";
/// The same for a writer's statement, which may wait for disks and indexes.
pub(super) const WRITING: &str = "600s";

/// Added to the time that a server has to accept a connection, for encryption and authentication.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// A connection, and the schema of its gallery or in which it would be created.
pub(super) struct Connection {
    pub(super) client: Client,
    pub(super) schema: String,
}

/// Connects and sets the search path: names without a schema then mean the gallery's schema, which
/// is the first of the address's search path, or the schema in which pgvector is installed. The
/// galleries of several schemas share pgvector.
///
/// # Errors
/// A server that does not answer in time or refuses; encryption that does not satisfy `sslmode`; a
/// schema that does not exist.
pub(super) fn open(address: &Address, statement_timeout: &str) -> Result<Connection, Error> {
    let mut client = connect(address)?;
    let row = client.query_one(
        "SELECT current_setting('search_path'), current_schema()::TEXT, \
         current_setting('statement_timeout')",
        &[],
    )?;
    let path: String = row.try_get(0)?;
    let current: Option<String> = row.try_get(1)?;
    let first = first_schema(&path);
    let schema = match (current, first) {
        (Some(current), None) => current,
        (Some(current), Some(first)) if current == first => current,
        (_, first) => {
            let name = first.unwrap_or(path);
            return Err(Error::Address {
                location: address.shown.clone(),
                reason: format!(
                    "there is no schema `{name}` that this user may use: make it first, with \
                     CREATE SCHEMA {}",
                    quoted(&name)
                ),
            });
        }
    };
    if row.try_get::<_, String>(2)? == "0" {
        client
            .execute("SELECT set_config('statement_timeout', $1, false)", &[&statement_timeout])?;
    }
    enter(&mut client, &schema)?;
    Ok(Connection { client, schema })
}

/// Sets the search path to the gallery's schema and that of pgvector, if it is installed.
pub(super) fn enter(client: &mut Client, schema: &str) -> Result<(), Error> {
    client.execute(
        "SELECT set_config('search_path', concat_ws(', ', quote_ident($1), (SELECT \
         quote_ident(nspname) FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = \
         extnamespace WHERE extname = 'vector')), false)",
        &[&schema],
    )?;
    Ok(())
}

/// The client library limits only the time until the server accepts the connection: without a limit
/// here, the client would wait forever for a server that sends nothing after that.
fn connect(address: &Address) -> Result<Client, Error> {
    let fail = |reason: String| Error::Connection { location: address.shown.clone(), reason };
    let tls = tls::connector(address.check, &address.roots).map_err(fail)?;
    let hosts = address.config.get_hosts().len().max(1) as u32;
    let each = address.config.get_connect_timeout().copied().unwrap_or_default();
    let limit = hosts * each + HANDSHAKE;
    let (send, receive) = mpsc::channel();
    let config = address.config.clone();
    thread::spawn(move || {
        // If it took too long, nothing receives the result, and the connection is closed.
        let _ = send.send(config.connect(tls));
    });
    let connected = receive.recv_timeout(limit).map_err(|_| {
        fail(format!("the server did not answer within {} seconds", limit.as_secs()))
    })?;
    connected.map_err(|error| {
        let mut reason = crate::error::postgres_message(&error);
        let asked = reason.contains("password missing") || error.code().is_some_and(signs_in);
        if let (true, Some(unused)) = (asked, &address.unused_passwords) {
            reason += &format!("; {unused}");
        }
        if reason.contains("invalid peer certificate") {
            reason += "; sslrootcert=FILE names the certificate of the authority that signed it";
        }
        fail(reason)
    })
}

/// Whether the error says that the server rejected the user or the password.
fn signs_in(code: &postgres::error::SqlState) -> bool {
    use postgres::error::SqlState;
    [SqlState::INVALID_PASSWORD, SqlState::INVALID_AUTHORIZATION_SPECIFICATION].contains(code)
}

/// The first schema that a search path names. `"$user"`, the user's own schema, is skipped, because
/// it need not exist.
fn first_schema(path: &str) -> Option<String> {
    let (mut names, mut name, mut inside) = (Vec::new(), String::new(), false);
    let mut rest = path.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '"' if inside && rest.peek() == Some(&'"') => name.extend(rest.next()),
            '"' => inside = !inside,
            ',' if !inside => names.push(std::mem::take(&mut name)),
            ' ' | '\t' if !inside => {}
            other if inside => name.push(other),
            other => name.extend(other.to_lowercase()),
        }
    }
    names.push(name);
    let first = names.into_iter().next().filter(|name| !name.is_empty())?;
    (first != "$user").then_some(first)
}

fn quoted(name: &str) -> String {
    let plain = |character: char| matches!(character, 'a'..='z' | '0'..='9' | '_');
    match name.chars().all(plain) {
        true => name.to_owned(),
        false => format!("\"{}\"", name.replace('"', "\"\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_schema_of_a_search_path() {
        for (path, first) in [
            ("faces", Some("faces")),
            ("Faces, public", Some("faces")),
            ("\"My \"\"own\"\", one\", public", Some("My \"own\", one")),
            ("\"$user\", public", None),
            ("", None),
        ] {
            assert_eq!(first_schema(path).as_deref(), first, "{path}");
        }
        assert_eq!(quoted("faces"), "faces");
        assert_eq!(quoted("My \"own\""), "\"My \"\"own\"\"\"");
    }
}
