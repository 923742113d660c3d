//! What a document may hold.

use serde_json::Value;

use super::Place;
use super::kit::*;
use crate::kernel::limits;
use crate::ports::store::{Body, DocKey, Write};

fn json(id: &str, text: &str) -> Write {
    Write::Put { key: thing(id), body: Body::Json(text.to_owned()), entries: Vec::new() }
}

fn binary(id: &str, bytes: Vec<u8>) -> Write {
    Write::Put { key: DocKey::new(BLOCKS, id), body: Body::Binary(bytes), entries: Vec::new() }
}

pub async fn json_comes_back_as_the_same_value(place: &dyn Place) {
    let store = open(place).await;
    let texts = [
        r#"{"b": [1, -2, 3.5, 1e3], "a": {"deep": {"er": null}}, "t": true}"#,
        r#"{"text": "ä € 𝄞 \" \\ \/ \b \f \n \r \t \u00e9 \ud834\udd1e", "": "empty name"}"#,
        r#"{"large": 9007199254740993, "small": -9223372036854775808, "max": 18446744073709551615}"#,
        "[]",
        "{}",
        "  [ 1 , 2 ]  ",
    ];
    for (n, text) in texts.iter().enumerate() {
        let id = format!("{n}");
        commit(&*store, vec![json(&id, text)]).await;
        let doc = get(&*store, thing(id)).await.unwrap();
        let value = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap();
        assert!(matches!(doc.body, Body::Json(_)));
        assert_eq!(value(doc.body.as_bytes()), value(text.as_bytes()));
    }
}

pub async fn scalars_are_documents_too(place: &dyn Place) {
    let store = open(place).await;
    for text in ["null", "true", "0", "-1.5", "\"text\"", "\"\""] {
        commit(&*store, vec![json("a", text)]).await;
        let doc = get(&*store, thing("a")).await.unwrap();
        let value: Value = serde_json::from_slice(doc.body.as_bytes()).unwrap();
        assert_eq!(value, serde_json::from_str::<Value>(text).unwrap());
    }
}

pub async fn an_empty_body_of_bytes_comes_back(place: &dyn Place) {
    let store = open(place).await;
    commit(&*store, vec![binary("a", Vec::new())]).await;
    assert_eq!(get(&*store, DocKey::new(BLOCKS, "a")).await.unwrap().body, Body::Binary(Vec::new()));
}

pub async fn every_byte_comes_back(place: &dyn Place) {
    let store = open(place).await;
    let bytes: Vec<u8> = (0..=255).cycle().take(1000).collect();
    commit(&*store, vec![binary("a", bytes.clone())]).await;
    assert_eq!(get(&*store, DocKey::new(BLOCKS, "a")).await.unwrap().body, Body::Binary(bytes));
}

pub async fn a_maximal_body_comes_back(place: &dyn Place) {
    let store = open(place).await;
    let bytes: Vec<u8> = (0..limits::DOCUMENT_BYTES).map(|n| ((n * 31) >> 3) as u8).collect();
    let text = format!("\"{}\"", "x".repeat(limits::DOCUMENT_BYTES - 2));
    commit(&*store, vec![binary("a", bytes.clone()), json("a", &text)]).await;
    assert!(get(&*store, DocKey::new(BLOCKS, "a")).await.unwrap().body == Body::Binary(bytes));
    assert!(get(&*store, thing("a")).await.unwrap().body == Body::Json(text));
    commit(&*store, vec![binary("a", vec![1]), delete("a")]).await;
    assert_eq!(get(&*store, DocKey::new(BLOCKS, "a")).await.unwrap().body, Body::Binary(vec![1]));
}

pub async fn a_body_above_the_maximum_is_refused(place: &dyn Place) {
    let store = open(place).await;
    let bytes = writes(vec![binary("a", vec![0; limits::DOCUMENT_BYTES + 1])]);
    assert_eq!(refused(&*store, bytes).await, "store.too_large");
    let text = writes(vec![json("a", &format!("\"{}\"", "x".repeat(limits::DOCUMENT_BYTES - 1)))]);
    assert_eq!(refused(&*store, text).await, "store.too_large");
}

pub async fn what_is_not_json_is_refused(place: &dyn Place) {
    let store = open(place).await;
    for text in ["", " ", "{", "{\"a\":}", "{} {}", "undefined", "'a'", "01", "[1,]", "\"\u{1}\"", "NaN"] {
        assert_eq!(refused(&*store, writes(vec![json("a", text)])).await, "store.invalid_json", "{text}");
    }
}

pub async fn the_character_nul_is_refused(place: &dyn Place) {
    let store = open(place).await;
    for text in [r#""\u0000""#, r#"{"a":"x\\\u0000"}"#, r#"{"\u0000":1}"#] {
        assert_eq!(refused(&*store, writes(vec![json("a", text)])).await, "store.nul", "{text}");
    }
    commit(&*store, vec![json("a", r#""\\u0000 is text""#)]).await;
}

pub async fn another_kind_of_body_is_refused(place: &dyn Place) {
    let store = open(place).await;
    let bytes = Write::Put { key: thing("a"), body: Body::Binary(vec![1]), entries: Vec::new() };
    assert_eq!(refused(&*store, writes(vec![bytes])).await, "store.wrong_kind");
    let text =
        Write::Put { key: DocKey::new(BLOCKS, "a"), body: Body::Json("1".into()), entries: Vec::new() };
    assert_eq!(refused(&*store, writes(vec![text])).await, "store.wrong_kind");
}
