//! The same gallery on a real PostgreSQL server with pgvector.
//!
//! `TERCET_TEST_POSTGRES` names a server whose user may create schemas and the extension, or
//! `TERCET_TEST_PGSERVER_PYTHON` a Python that can start one (see `tests/postgres_server.py`).
//! With neither these tests are skipped, and say so.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use std::{env, fs};

use ndarray::{Array2, s};
use tercet::{Distance, Metric, neighbors};
use tercet_gallery::{
    Duplicates, Error, Hnsw, Item, Method, Quantization, ReadGallery, Search, Settings, Thumbnail,
    Vectors, create, reader, writer,
};

use crate::world::{fill, items, of, settings, vectors};

/// A server for one test at a time, and its address.
struct Server {
    address: &'static str,
    /// Whether it was started here, and not by others.
    is_own: bool,
    _turn: MutexGuard<'static, ()>,
}

impl Server {
    fn start() -> Option<Self> {
        static TURN: Mutex<()> = Mutex::new(());
        static STARTED: OnceLock<Option<(String, Option<Child>)>> = OnceLock::new();
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let (address, child) = STARTED.get_or_init(Self::found).as_ref()?;
        Some(Self { address, is_own: child.is_some(), _turn: turn })
    }

    /// A server that is named, or one that stops when this process ends and its standard input with
    /// it.
    fn found() -> Option<(String, Option<Child>)> {
        if let Ok(address) = env::var("TERCET_TEST_POSTGRES") {
            return Some((address, None));
        }
        let Ok(python) = env::var("TERCET_TEST_PGSERVER_PYTHON") else {
            eprintln!(
                "SKIPPED: no PostgreSQL server to test with; set TERCET_TEST_POSTGRES or \
                 TERCET_TEST_PGSERVER_PYTHON"
            );
            return None;
        };
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/postgres_server.py");
        let mut child = Command::new(python)
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut address = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
        assert!(address.starts_with("postgres"), "the server did not start: {address:?}");
        Some((address.trim().to_owned(), Some(child)))
    }

    /// The address of an empty schema, where a gallery of its own can lie.
    fn schema(&self, name: &str) -> String {
        let mut client = postgres::Client::connect(self.address, postgres::NoTls).unwrap();
        client
            .batch_execute(&format!(
                "CREATE EXTENSION IF NOT EXISTS vector; \
                 DROP SCHEMA IF EXISTS {name} CASCADE; CREATE SCHEMA {name}"
            ))
            .unwrap();
        self.leading_to(name)
    }

    /// The address with a search path.
    fn leading_to(&self, search_path: &str) -> String {
        with(self.address, &format!("options=-csearch_path%3D{search_path}"))
    }

    /// Runs statements as the user that the server was started for.
    fn execute(&self, statements: &str) {
        let mut client = postgres::Client::connect(self.address, postgres::NoTls).unwrap();
        client.batch_execute(statements).unwrap();
    }

    /// The file of the server's socket; none for a server that others have started.
    fn socket(&self) -> Option<PathBuf> {
        let (_, host) = self.address.split_once("host=").filter(|_| self.is_own)?;
        let folder = host.split('&').next()?.replace("%2F", "/");
        Some(PathBuf::from(folder).join(".s.PGSQL.5432"))
    }
}

/// An address with a further parameter.
fn with(address: &str, parameter: &str) -> String {
    let join = if address.contains('?') { '&' } else { '?' };
    format!("{address}{join}{parameter}")
}

#[test]
fn a_database_is_a_gallery_like_any_other() {
    let Some(server) = Server::start() else { return };
    let queries = vectors(4, 24, 77);
    for distance in Distance::ALL {
        for normalize in [false, true] {
            let metric = Metric { distance, normalize };
            let address = server.schema("tercet_metrics");
            let mut writer = create(&address, Settings { metric, ..settings(24) }).unwrap();
            let rows = fill(&mut *writer, 0, 300);
            let reader = reader(&address).unwrap();
            let found = reader.search(of(&queries), &Search::nearest(9)).unwrap();
            assert_eq!(found.method, Method::Exact);
            let expected = neighbors::nearest(queries.view(), rows.view(), 9, metric).unwrap();
            for (found, expected) in found.hits.iter().zip(expected) {
                assert_eq!(found.len(), 9);
                for (hit, near) in found.iter().zip(expected) {
                    assert_eq!(hit.item.id, format!("item-{}", near.index), "{metric}");
                    assert!((hit.distance - near.distance).abs() < 1e-4, "{metric}");
                }
            }
        }
    }
}

#[test]
fn items_come_and_go() {
    let Some(server) = Server::start() else { return };
    let address = server.schema("tercet_items_test");
    assert!(matches!(reader(&address), Err(Error::NotAGallery { .. })));
    assert!(matches!(writer(&address), Err(Error::NotAGallery { .. })));
    let mut first = create(&address, settings(6)).unwrap();
    assert!(matches!(writer(&address), Err(Error::Locked { .. })));
    let rows = fill(&mut *first, 0, 30);
    let reader = reader(&address).unwrap();
    drop(first);
    assert!(matches!(create(&address, settings(6)), Err(Error::AlreadyThere { .. })));

    let mut writer = writer(&address).unwrap();
    let mut seen = Item::new("é'\"\\ ☃").with("camera", "7").with("day \"1\"", "a\\b");
    seen.thumbnail = Some(Thumbnail { media_type: "image/png".into(), bytes: vec![0, 255, 10] });
    let one = vectors(1, 6, 99);
    writer.add(of(&one), std::slice::from_ref(&seen), Duplicates::Refuse).unwrap();
    assert!(reader.refresh().unwrap() && !reader.refresh().unwrap());
    assert_eq!(reader.item(&seen.id).unwrap().as_ref(), Some(&seen));
    assert_eq!(reader.vectors(&[&seen.id, "item-4"]).unwrap().row(1), rows.row(4));

    let mut page = reader.items(None, 20).unwrap();
    assert_eq!(page.items.len(), 20);
    page = reader.items(page.next, 20).unwrap();
    assert_eq!((page.items.len(), page.next), (11, None));

    // All or nothing.
    let two = vectors(2, 6, 5);
    let both = [Item::new("new"), Item::new("item-3").labelled("other")];
    let refused = writer.add(of(&two), &both, Duplicates::Refuse).unwrap_err();
    assert!(matches!(&refused, Error::DuplicateId { id } if id == "item-3"), "{refused}");
    let done = writer.add(of(&two), &both, Duplicates::Replace).unwrap();
    assert_eq!((done.added, done.replaced), (1, 1));
    assert_eq!(reader.item("item-3").unwrap().unwrap(), both[1]);
    assert!(matches!(writer.remove(&["item-1", "nobody"]), Err(Error::UnknownId { .. })));
    writer.remove(&["item-1", "new"]).unwrap();
    writer.compact().unwrap();
    assert_eq!(reader.verify().unwrap().items, 30);
    let info = reader.info().unwrap();
    assert_eq!((info.items, info.labels["class-4"], info.labels["other"]), (30, 3, 1));

    assert_eq!((reader.model().unwrap(), info.has_model), (None, false));
    for file in [&[0_u8, 255, 10][..], &[7; 100_000]] {
        writer.keep_model(file).unwrap();
        assert_eq!(reader.model().unwrap().as_deref(), Some(file));
    }
    assert!(reader.info().unwrap().has_model);

    let other = Vectors { model: "77aa", rows: one.view() };
    assert!(matches!(reader.search(other, &Search::nearest(1)), Err(Error::Model { .. })));
    assert!(matches!(
        writer.add(other, &items(90, 1), Duplicates::Refuse),
        Err(Error::Model { .. })
    ));
    let long = vectors(1, 7, 1);
    assert!(matches!(
        reader.search(of(&long), &Search::nearest(1)),
        Err(Error::Dimensions { expected: 6, got: 7 })
    ));
    let quantised = Settings { quantization: Some(Quantization::I8), ..settings(6) };
    assert!(matches!(create(&address, quantised), Err(Error::Missing { .. })));

    let mut client = postgres::Client::connect(&address, postgres::NoTls).unwrap();
    client.execute("UPDATE tercet_gallery SET format = 2", &[]).unwrap();
    let error = tercet_gallery::reader(&address).err().unwrap();
    assert!(matches!(error, Error::NewerFormat { found: 2, known: 1, .. }), "{error}");
}

#[test]
fn filters_and_graphs() {
    let Some(server) = Server::start() else { return };
    let address = server.schema("tercet_graph");
    let mut writer = create(&address, settings(16)).unwrap();
    let rows = fill(&mut *writer, 0, 2000);
    let reader = reader(&address).unwrap();
    let queries = vectors(20, 16, 9);
    let mut search = Search::nearest(5);
    search.filter.labels = vec!["class-2".into(), "class-5".into()];
    search.filter.attributes.insert("camera".into(), "1".into());
    search.filter.without = vec!["item-52".into()];
    let passes = |of: usize| matches!(of % 10, 2 | 5) && of % 3 == 1 && of != 52;
    let check = |found: Vec<Vec<tercet_gallery::Hit>>| {
        for (query, hits) in queries.outer_iter().zip(found) {
            let mut expected: Vec<(f32, usize)> = (0..2000)
                .filter(|&of| passes(of))
                .map(|of| ((&rows.row(of) - &query).mapv(|x| x * x).sum(), of))
                .collect();
            expected.sort_by(|x, y| x.0.total_cmp(&y.0));
            let nearest = expected.iter().take(5).map(|(_, of)| format!("item-{of}"));
            assert!(nearest.eq(hits.into_iter().map(|hit| hit.item.id)));
        }
    };
    check(reader.search(of(&queries), &search).unwrap().hits);
    let mut either = Search::nearest(3000);
    either.filter.allow("camera", "1");
    either.filter.allow("camera", "2");
    let found = reader.search(of(&queries), &either).unwrap();
    assert_eq!(found.hits[0].len(), (0..2000).filter(|of| of % 3 != 0).count());
    assert!(found.hits[0].iter().all(|hit| hit.item.attributes["camera"] != "0"));
    let before = reader.info().unwrap();
    assert!(before.id.is_some() && !reader.refresh().unwrap());

    let index = writer.build_index(Hnsw::default()).unwrap();
    assert_eq!((index.rows, index.sample), (2000, 100));
    assert!(index.recall_at_10 > 0.9 && index.recall_at_10 <= 1.0, "{index:?}");
    assert_eq!(reader.info().unwrap().index, Some(index));
    let found = reader.search(of(&queries), &Search::nearest(10)).unwrap();
    assert_eq!(found.method, Method::Hnsw);
    let exact = Search { exact: true, ..Search::nearest(10) };
    let exact = reader.search(of(&queries), &exact).unwrap();
    let pairs = exact.hits.iter().zip(&found.hits);
    let shared = pairs.flat_map(|(exact, found)| exact.iter().filter(|hit| found.contains(hit)));
    assert!(shared.count() > 180);
    check(reader.search(of(&queries), &Search { exact: true, ..search }).unwrap().hits);

    // Threads that ask at once have a connection each.
    std::thread::scope(|scope| {
        for asker in 0..6_usize {
            let (reader, rows): (&dyn ReadGallery, &Array2<f32>) = (&*reader, &rows);
            scope.spawn(move || {
                let own = rows.slice(s![asker..asker + 1, ..]).to_owned();
                let found = reader.search(of(&own), &Search::nearest(1)).unwrap();
                assert_eq!(found.hits[0][0].item.id, format!("item-{asker}"));
            });
        }
    });
}

fn refused<T>(opened: Result<T, Error>) -> String {
    opened.err().unwrap().to_string()
}

#[test]
fn a_schema_that_is_not_there_is_named() {
    let Some(server) = Server::start() else { return };
    server.execute("DROP SCHEMA IF EXISTS tercet_none CASCADE");
    let address = server.leading_to("tercet_none");
    for error in [
        refused(create(&address, settings(4))),
        refused(writer(&address)),
        refused(reader(&address)),
        // Not even the gallery of another schema on the path is taken for it.
        refused(reader(&server.leading_to("tercet_none,public"))),
    ] {
        assert!(error.contains("no schema `tercet_none`"), "{error}");
        assert!(error.contains("CREATE SCHEMA tercet_none"), "{error}");
    }
}

#[test]
fn schemas_hold_a_gallery_each() {
    let Some(server) = Server::start() else { return };
    // Without `public` on the path, pgvector is still found, wherever it was installed.
    server.execute(
        "DROP EXTENSION IF EXISTS vector CASCADE; DROP SCHEMA IF EXISTS tercet_one CASCADE; \
         DROP SCHEMA IF EXISTS \"Tercet two\" CASCADE; CREATE SCHEMA tercet_one; \
         CREATE SCHEMA \"Tercet two\"",
    );
    let one = server.leading_to("tercet_one");
    let two = server.leading_to("%22Tercet%5C%20two%22");
    let mut first = create(&one, settings(6)).unwrap();
    let mut second = create(&two, settings(6)).unwrap();
    fill(&mut *first, 0, 5);
    fill(&mut *second, 100, 9);
    second.build_index(Hnsw::default()).unwrap();
    drop(first);
    // The end of one schema is not the end of the other.
    server.execute("DROP SCHEMA tercet_one CASCADE");
    let reader = reader(&two).unwrap();
    let found = reader.search(of(&vectors(1, 6, 3)), &Search::nearest(20)).unwrap();
    assert_eq!(found.hits[0].len(), 9);
    assert_eq!(reader.info().unwrap().items, 9);

    // An empty schema before one with a gallery on the path holds none, and may get its own.
    server.execute("CREATE SCHEMA tercet_one");
    let both = server.leading_to("tercet_one,%22Tercet%5C%20two%22");
    assert!(matches!(writer(&both), Err(Error::NotAGallery { .. })));
    drop(create(&both, settings(3)).unwrap());
    assert_eq!(tercet_gallery::reader(&one).unwrap().settings().dimensions, 3);
}

#[test]
fn one_writer_a_schema_whatever_address_leads_there() {
    let Some(server) = Server::start() else { return };
    let address = server.schema("tercet_locked");
    let first = create(&address, settings(4)).unwrap();
    for search_path in ["tercet_locked,public", "TERCET_LOCKED", "%22tercet_locked%22"] {
        let same = server.leading_to(search_path).replacen("postgresql://", "postgres://", 1);
        assert!(matches!(writer(&same), Err(Error::Locked { .. })), "{search_path}");
    }
    drop(first);
    writer(&server.leading_to("TERCET_LOCKED")).unwrap();
}

#[test]
fn more_threads_than_connections_wait_for_each_other() {
    let Some(server) = Server::start() else { return };
    let address = server.schema("tercet_pool");
    let mut writer = create(&with(&address, "application_name=filler"), settings(6)).unwrap();
    let rows = fill(&mut *writer, 0, 40);
    let reader = reader(&with(&address, "application_name=pooled")).unwrap();
    std::thread::scope(|scope| {
        for asker in 0..40_usize {
            let (reader, rows): (&dyn ReadGallery, &Array2<f32>) = (&*reader, &rows);
            scope.spawn(move || {
                let own = rows.slice(s![asker..asker + 1, ..]).to_owned();
                let found = reader.search(of(&own), &Search::nearest(1)).unwrap();
                assert_eq!(found.hits[0][0].item.id, format!("item-{asker}"));
            });
        }
    });
    let mut client = postgres::Client::connect(server.address, postgres::NoTls).unwrap();
    let count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pooled'";
    let open: i64 = client.query_one(count, &[]).unwrap().get(0);
    assert!((1..=8).contains(&open), "{open} connections");

    // Connections that the server has closed are replaced.
    client
        .batch_execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE application_name = 'pooled'",
        )
        .unwrap();
    for _ in 0..10 {
        assert_eq!(reader.info().unwrap().items, 40);
    }
}

#[test]
fn questions_and_connections_have_time_limits() {
    let Some(server) = Server::start() else { return };
    let address = server.schema("tercet_limits");
    let mut writer = create(&address, settings(6)).unwrap();
    fill(&mut *writer, 0, 10);
    let patient = reader(&address).unwrap();
    // Somebody holds a lock that every question needs.
    let mut client = postgres::Client::connect(server.address, postgres::NoTls).unwrap();
    let mut holding = client.transaction().unwrap();
    holding.batch_execute("LOCK tercet_limits.tercet_items IN ACCESS EXCLUSIVE MODE").unwrap();
    let hasty = address.replace("options=", "options=-cstatement_timeout%3D200ms%20");
    let begun = Instant::now();
    let error = reader(&hasty).unwrap().item("item-1").unwrap_err().to_string();
    assert!(error.contains("statement timeout") && error.contains("options="), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(20));
    holding.rollback().unwrap();
    assert!(patient.item("item-1").unwrap().is_some());

    // A server that accepts the connection and then says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let address = format!("postgres://ann:secret@127.0.0.1:{port}/faces?connect_timeout=1");
    let error = refused(reader(&address));
    assert!(error.contains("did not answer within 11 seconds"), "{error}");
    assert!(!error.contains("secret"), "{error}");
}

/// The test's own process has no password in its environment: what psql would find there is given
/// by a file.
#[test]
fn passwords_come_from_the_password_file() {
    let Some(server) = Server::start() else { return };
    let Some(_) = server.socket() else { return };
    server.execute(
        "DROP SCHEMA IF EXISTS tercet_secret CASCADE; DROP ROLE IF EXISTS ann; \
         CREATE ROLE ann LOGIN PASSWORD 'se:cret'; CREATE SCHEMA tercet_secret AUTHORIZATION ann",
    );
    let mut client = postgres::Client::connect(server.address, postgres::NoTls).unwrap();
    let rules: String = client.query_one("SHOW hba_file", &[]).unwrap().get(0);
    let before = fs::read_to_string(&rules).unwrap();
    fs::write(&rules, format!("local all ann scram-sha-256\n{before}")).unwrap();
    client.batch_execute("CREATE EXTENSION IF NOT EXISTS vector").unwrap();
    client.execute("SELECT pg_reload_conf()", &[]).unwrap();
    std::thread::sleep(Duration::from_millis(300));

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("passwords");
    let ann = server.leading_to("tercet_secret").replace("postgres:@", "ann@");
    let with_file = with(&ann, &format!("passfile={}", file.display()));
    let error = refused(create(&with_file, settings(4)));
    assert!(error.contains("password"), "{error}");
    fs::write(&file, "*:*:*:bob:other\n*:5432:postgres:ann:se\\:cret\n").unwrap();
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |mode| fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        mode(0o644);
        let error = refused(create(&with_file, settings(4)));
        assert!(error.contains("chmod 600"), "{error}");
        mode(0o600);
    }
    drop(create(&with_file, settings(4)).unwrap());
    fs::write(&rules, before).unwrap();
    client.execute("SELECT pg_reload_conf()", &[]).unwrap();
}

#[test]
fn connections_are_encrypted_as_sslmode_asks() {
    let Some(server) = Server::start() else { return };
    let Some(socket) = server.socket() else { return };
    drop(create(&server.schema("tercet_tls"), settings(4)).unwrap());
    let tests = concat!(env!("CARGO_MANIFEST_DIR"), "/tests");
    let mut proxy = Command::new(env::var("TERCET_TEST_PGSERVER_PYTHON").unwrap())
        .arg(format!("{tests}/tls_proxy.py"))
        .arg(&socket)
        .args([format!("{tests}/tls/server.pem"), format!("{tests}/tls/server.key")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut says = BufReader::new(proxy.stdout.take().unwrap());
    let mut port = String::new();
    says.read_line(&mut port).unwrap();
    let port = port.trim();
    let try_open = |host: &str, parameters: &str| {
        let address = format!("postgres://postgres@{host}:{port}/postgres");
        let address = with(&with(&address, "options=-csearch_path%3Dtercet_tls"), parameters);
        reader(&address).map(drop)
    };
    let authority = format!("sslrootcert={tests}/tls/authority.pem");
    let mut expected = Vec::new();
    for (host, parameters, encrypted) in [
        ("127.0.0.1", "sslmode=disable".to_owned(), false),
        ("127.0.0.1", "sslmode=prefer".to_owned(), true),
        ("127.0.0.1", "sslmode=require".to_owned(), true),
        ("127.0.0.1", format!("sslmode=verify-ca&{authority}"), true),
        ("localhost", format!("sslmode=verify-full&{authority}"), true),
    ] {
        try_open(host, &parameters).unwrap_or_else(|error| panic!("{parameters}: {error}"));
        expected.push(if encrypted { "encrypted" } else { "plain" });
    }
    for (host, parameters, words) in [
        ("127.0.0.1", format!("sslmode=verify-full&{authority}"), "not valid for"),
        ("localhost", "sslmode=verify-full&sslrootcert=system".to_owned(), "sslrootcert="),
        ("localhost", "sslmode=verify-ca&sslrootcert=/none.pem".to_owned(), "/none.pem"),
        ("localhost", format!("sslmode=require&sslrootcert={tests}/tls/server.key"), "server.key"),
    ] {
        let error = refused(try_open(host, &parameters));
        assert!(error.contains(words), "{parameters}: {error}");
    }
    drop(proxy.stdin.take());
    let mut told = String::new();
    says.read_to_string(&mut told).unwrap();
    assert_eq!(told.lines().collect::<Vec<_>>(), expected);
    proxy.wait().unwrap();
}
