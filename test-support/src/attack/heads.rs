//! Heads that are too large.

use std::sync::Arc;
use std::time::Duration;

use super::front::{Front, stream};
use super::h2::{CONTINUATION, END_HEADERS, END_STREAM, HEADERS, field, frame, get, listen, preface};

const PATIENCE: Duration = Duration::from_secs(10);

pub(super) async fn giant_heads(front: Arc<Front>) {
    let large = format!("GET /livez HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "y".repeat(1 << 20));
    let many = format!("GET /livez HTTP/1.1\r\nhost: a\r\n{}\r\n", "x: y\r\n".repeat(5_000));
    let long = format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "y".repeat(1 << 20));
    let heads: Arc<[Vec<u8>]> = [large, many, long].map(String::into_bytes).into();
    stream(&front, 100, |front, number| {
        let heads = Arc::clone(&heads);
        async move {
            let Some(mut line) = front.connect(number % 4).await else { return };
            match heads.get(number % 4) {
                Some(head) => {
                    line.say(head).await;
                    front.note(line.answer(PATIENCE).await);
                }
                None => wide_list(&front, &mut line).await,
            }
        }
    })
    .await;
}

/// A list of fields above the limit, over HTTP/2, in a head that does end.
async fn wide_list(front: &Arc<Front>, line: &mut super::Line) {
    let fields: Vec<u8> =
        (0..120).flat_map(|number| field(&format!("x-{number}"), &"y".repeat(120))).collect();
    line.say(&preface(&[])).await;
    line.say(&frame(HEADERS, END_STREAM, 1, &get("/livez"))).await;
    line.say(&frame(CONTINUATION, 0, 1, &fields)).await;
    line.say(&frame(CONTINUATION, END_HEADERS, 1, &fields)).await;
    listen(line, &mut Vec::new(), Duration::from_millis(200), front).await;
}
