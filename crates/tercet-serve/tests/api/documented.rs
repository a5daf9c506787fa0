//! The OpenAPI document says what there is.

use serde_json::Value;

use crate::world::World;

#[test]
fn the_document_names_every_address_and_no_other() {
    let world = World::shared(|_| {});
    let answer = world.get("/api/openapi.json").send();
    let document = answer.json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3."));
    assert_eq!(serde_json::from_str::<Value>(&tercet_serve::openapi()).unwrap(), document);
    let paths = document["paths"].as_object().unwrap();
    let mut named: Vec<String> = paths
        .iter()
        .flat_map(|(path, operations)| {
            operations.as_object().unwrap().keys().map(move |method| format!("{method} {path}"))
        })
        .collect();
    named.sort();
    assert_eq!(
        named,
        [
            "delete /api/items/{id}",
            "get /api/decision",
            "get /api/gallery",
            "get /api/items",
            "get /api/items/{id}",
            "get /api/items/{id}/thumbnail",
            "get /api/model",
            "get /api/projection",
            "get /health",
            "get /metrics",
            "post /api/compare",
            "post /api/items",
            "post /api/search",
            "post /api/session",
        ]
    );
    // Each is there: an address that nobody answers would be `no-address`, a method 405.
    for named in named {
        let (method, path) = named.split_once(' ').unwrap();
        let path = path.replace("{id}", "nobody");
        let answer = match method {
            "get" => world.get(&path).send(),
            "post" => world.post(&path).send(),
            _ => world.delete(&path).send(),
        };
        let text = String::from_utf8_lossy(&answer.body);
        assert!(answer.status != 405 && !text.contains("no-address"), "{named}: {text}");
    }
    // What is referred to is defined.
    let text = document.to_string();
    for reference in text.split("\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(document["components"]["schemas"].get(name).is_some(), "{name}");
    }
    assert_eq!(document["components"]["securitySchemes"]["token"]["scheme"], "bearer");
}
