//! Who is let in, and what nobody gets.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::world::{World, one};

const TOKEN: &str = "a-token-of-some-length";

fn guarded() -> World {
    World::shared(|settings| settings.token = Some(TOKEN.to_owned()))
}

#[test]
fn with_a_token_only_who_has_it_gets_in() {
    let world = guarded();
    for target in ["/api/gallery", "/api/items", "/api/projection", "/api/model", "/metrics"] {
        let refused = world.get(target).send();
        assert_eq!(refused.header("www-authenticate"), Some("Bearer"), "{target}");
        assert!(refused.refused(401, "token").contains("Bearer"));
        let wrong = format!("Bearer {}x", &TOKEN[1..]);
        world.get(target).header("authorization", &wrong).send().refused(401, "token");
        let right = world.get(target).header("authorization", &format!("Bearer {TOKEN}")).send();
        assert!(right.status < 300, "{target}: {right:?}");
    }
    world.post("/api/search").body("image/png", one().1).send().refused(401, "token");
    for target in ["/", "/main.js", "/health", "/api/openapi.json"] {
        assert_eq!(world.get(target).send().status, 200, "{target}");
    }
}

#[test]
fn a_page_trades_the_token_for_a_cookie() {
    let world = guarded();
    let opening = |token: &str| world.post("/api/session").json(&json!({ "token": token })).send();
    assert!(opening("guess").header("set-cookie").is_none());
    opening("guess").refused(401, "token");
    let opened = opening(TOKEN);
    assert_eq!(opened.status, 204);
    let cookie = opened.header("set-cookie").unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    assert!(!cookie.contains(TOKEN), "{cookie}");
    let pair = cookie.split(';').next().unwrap();
    assert_eq!(world.get("/api/gallery").header("cookie", pair).send().status, 200);
    // Cookies go to every port of a host: each server has a name of its own.
    let name = format!("tercet-session-{}", world.address.port());
    assert!(pair.starts_with(&format!("{name}=")), "{pair}");
    let made_up = format!("{name}=0123456789abcdef");
    world.get("/api/gallery").header("cookie", &made_up).send().refused(401, "token");
    world.post("/api/session").body("application/json", "[").send().refused(400, "malformed");
}

#[test]
fn wrong_tokens_are_answered_slowly_and_right_ones_are_not() {
    let world = guarded();
    let began = Instant::now();
    let guesses: Vec<_> = (0..6)
        .map(|guess| {
            let token = format!("Bearer guess-number-{guess}");
            let request = world.get("/api/gallery").header("authorization", &token);
            let opening = world.post("/api/session").json(&json!({ "token": token }));
            let request = if guess % 2 == 0 { request } else { opening };
            std::thread::spawn(move || request.send().refused(401, "token"))
        })
        .collect();
    std::thread::sleep(Duration::from_millis(100));
    let right = Instant::now();
    let bearer = format!("Bearer {TOKEN}");
    assert_eq!(world.get("/api/gallery").header("authorization", &bearer).send().status, 200);
    assert!(right.elapsed() < Duration::from_secs(1), "{:?}", right.elapsed());
    guesses.into_iter().for_each(|guess| drop(guess.join().unwrap()));
    // More connections do not make guessing faster: half a second each.
    assert!(began.elapsed() >= Duration::from_millis(2900), "{:?}", began.elapsed());
}

#[test]
fn answers_name_no_folder_of_the_machine() {
    let world = World::own(|_| {});
    let folder = world.folder.display().to_string();
    for entry in std::fs::read_dir(&world.folder).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
    let vector = json!({ "vector": vec![0.5; 64] });
    let refused = world.post("/api/items?id=v").json(&vector).send().refused(500, "internal");
    assert!(!refused.contains(&folder) && refused.contains("standard error"), "{refused}");
    let about = String::from_utf8(world.get("/api/gallery").send().body).unwrap();
    assert!(!about.contains(&folder), "{about}");
}

#[test]
fn pages_elsewhere_get_nothing() {
    let world = World::own(|_| {});
    // By a name that was made to point here.
    world.get("/api/gallery").header("host", "evil.example").send().refused(403, "host");
    world.get("/").header("host", "evil.example:8728").send().refused(403, "host");
    // By a form or a script of another site.
    let (_, picture) = one();
    let add = || world.post("/api/items?id=x").body("image/png", picture.clone());
    let origin = |request: crate::client::Request| request.header("origin", "http://evil.example");
    origin(add()).send().refused(403, "other-site");
    origin(world.delete("/api/items/x")).send().refused(403, "other-site");
    add().header("sec-fetch-site", "cross-site").send().refused(403, "other-site");
    let own = format!("http://{}", world.address);
    assert_eq!(add().header("origin", &own).send().status, 201);
    // And what they could read has no header that lets them.
    let answer = origin(world.get("/api/gallery")).send();
    assert!(answer.header("access-control-allow-origin").is_none());
}

#[test]
fn every_answer_tells_browsers_what_not_to_do() {
    let world = World::shared(|_| {});
    for target in ["/", "/style.css", "/api/gallery", "/nowhere", "/api/items/nobody"] {
        let answer = world.get(target).send();
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{target}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{target}");
        assert_eq!(answer.header("x-frame-options"), Some("DENY"), "{target}");
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"), "{target}");
    }
}

#[test]
fn no_address_reaches_the_disk() {
    let world = World::shared(|_| {});
    for target in [
        "/../Cargo.toml",
        "/..%2f..%2fetc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "//etc/passwd",
        "/page/../../src/lib.rs",
        "/style.css/../../Cargo.toml",
        "/api/items/../../../../etc/passwd",
        "/api/items/..%2F..%2F..%2Fetc%2Fpasswd",
        "/api/items/..%2Fcatalogue.sqlite",
        "/api/items/..%2Fcatalogue.sqlite/thumbnail",
        "/api/items/%00",
        "/\\..\\..\\windows",
    ] {
        let answer = world.get(target).send();
        assert!((400..500).contains(&answer.status), "{target}: {answer:?}");
        let text = String::from_utf8_lossy(&answer.body);
        assert!(!text.contains("root:") && !text.contains("SQLite format"), "{target}");
    }
}

#[test]
fn the_page_names_nothing_outside_of_itself() {
    let world = World::shared(|_| {});
    let page = String::from_utf8(world.get("/").send().body).unwrap();
    assert!(!page.contains("http://") && !page.contains("https://"), "{page}");
    assert!(!page.contains("<style") && !page.contains(" style="), "{page}");
    // Every file that a script or the page names is there.
    let mut named: Vec<String> =
        page.split('"').filter(|text| text.starts_with('/')).map(str::to_owned).collect();
    for file in named.clone().iter().filter(|file| file.ends_with(".js")) {
        let script = String::from_utf8(world.get(file).send().body).unwrap();
        named.extend(imports(&script));
    }
    let main = String::from_utf8(world.get("/main.js").send().body).unwrap();
    for file in imports(&main) {
        let script = String::from_utf8(world.get(&file).send().body).unwrap();
        named.extend(imports(&script));
    }
    assert!(named.len() > 10, "{named:?}");
    for file in named {
        let answer = world.get(&file).send();
        assert_eq!(answer.status, 200, "{file}");
        let tag = answer.header("etag");
        if let (Some(tag), false) = (tag, file.starts_with("/api")) {
            let again = world.get(&file).header("if-none-match", tag).send();
            assert_eq!(again.status, 304, "{file}");
        }
    }
}

fn imports(script: &str) -> Vec<String> {
    let lines = script.lines().filter(|line| line.starts_with("import "));
    lines
        .filter_map(|line| line.split("\"./").nth(1)?.split('"').next())
        .map(|name| format!("/{name}"))
        .collect()
}
