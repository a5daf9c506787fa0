//! Finds the password as psql does: in the variable `PGPASSWORD`, then in the password file.

use std::path::Path;
use std::{env, fs};

use postgres::Config;
use postgres::config::Host;

/// The password for a connection: `PGPASSWORD`, or the password in the first matching line of the
/// password file. `None` where neither exists.
///
/// # Errors
/// The reason why an existing password file was not used. As in psql, the connection is tried
/// nevertheless: the server may require no password.
pub(super) fn find(config: &Config, file: Option<&Path>) -> Result<Option<String>, String> {
    if let Ok(password) = env::var("PGPASSWORD") {
        return Ok(Some(password).filter(|password| !password.is_empty()));
    }
    let Some(file) = file.filter(|file| file.exists()) else { return Ok(None) };
    private(file)?;
    let text = fs::read_to_string(file)
        .map_err(|error| format!("cannot read the password file {}: {error}", file.display()))?;
    let user = config.get_user().map_or_else(|| env::var("USER").unwrap_or_default(), Into::into);
    let database = config.get_dbname().unwrap_or(&user);
    let ports = config.get_ports();
    let hosts: Vec<String> = match (config.get_hosts(), config.get_hostaddrs()) {
        ([], addresses) => addresses.iter().map(ToString::to_string).collect(),
        (hosts, _) => hosts.iter().map(name).collect(),
    };
    let found = hosts.iter().enumerate().find_map(|(place, host)| {
        let port = ports.get(place).or(ports.first()).copied().unwrap_or(5432).to_string();
        lookup(&text, [host, &port, database, &user])
    });
    Ok(found)
}

/// A host as the file names it; sockets in the usual folders are `localhost`.
fn name(host: &Host) -> String {
    match host {
        Host::Tcp(name) => name.clone(),
        Host::Unix(folder) => match folder.to_str() {
            Some("/tmp" | "/var/run/postgresql" | "/run/postgresql") | None => "localhost".into(),
            Some(folder) => folder.to_owned(),
        },
    }
}

/// Refuses a file that others can read, as psql does.
#[cfg(unix)]
fn private(file: &Path) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(file).map(|about| about.permissions().mode());
    match mode {
        Ok(mode) if mode & 0o077 != 0 => Err(format!(
            "the password file {0} was not used, since others can read it: chmod 600 {0}",
            file.display()
        )),
        _ => Ok(()),
    }
}

#[cfg(not(unix))]
fn private(_: &Path) -> Result<(), String> {
    Ok(())
}

/// The password of the first line `host:port:database:user:password` whose fields match; `*`
/// matches everything, and a backslash escapes the next character.
fn lookup(text: &str, wanted: [&str; 4]) -> Option<String> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    lines.map(fields).find_map(|fields| {
        let (known, password) = fields.split_at_checked(4)?;
        let fits = |(known, wanted): (&(String, bool), &str)| {
            (known.0 == "*" && !known.1) || known.0 == wanted
        };
        let password = password.first()?;
        known.iter().zip(wanted).all(fits).then(|| password.0.clone())
    })
}

/// The fields of a line, and whether each contained a backslash.
fn fields(line: &str) -> Vec<(String, bool)> {
    let mut fields = vec![(String::new(), false)];
    let mut rest = line.chars();
    while let Some(character) = rest.next() {
        let last = fields.len() - 1;
        match character {
            // The password is the rest of the line up to a further colon.
            ':' => fields.push((String::new(), false)),
            '\\' => {
                fields[last].1 = true;
                fields[last].0.extend(rest.next());
            }
            other => fields[last].0.push(other),
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
# host:port:database:user:password
db.example:5432:faces:ann:one
db.example:*:*:bob:two\\:with\\\\signs
\\*:5432:faces:ann:a host of that name
::::
short:line
*:5433:faces:*:three
";

    #[test]
    fn the_first_line_that_fits_has_the_password() {
        for (wanted, password) in [
            (["db.example", "5432", "faces", "ann"], Some("one")),
            (["db.example", "6000", "other", "bob"], Some("two:with\\signs")),
            (["elsewhere", "5433", "faces", "eve"], Some("three")),
            (["elsewhere", "5432", "faces", "ann"], None),
            (["short", "line", "", ""], None),
        ] {
            assert_eq!(lookup(FILE, wanted).as_deref(), password, "{wanted:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_can_read_is_not_used() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("passwords");
        fs::write(&file, "host:5432:faces:ann:one\n").unwrap();
        let config: Config = "postgres://ann@host/faces".parse().unwrap();
        let mode = |mode| fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        mode(0o600);
        assert_eq!(find(&config, Some(&file)), Ok(Some("one".to_owned())));
        mode(0o644);
        let reason = find(&config, Some(&file)).unwrap_err();
        assert!(reason.contains("chmod 600"), "{reason}");
        assert_eq!(find(&config, Some(&folder.path().join("none"))), Ok(None));
    }
}
