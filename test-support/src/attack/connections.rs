//! Attacks with connections: many, slow, silent.

use std::sync::Arc;
use std::time::Duration;

use super::front::{Front, crowd, stream};

/// Between two pieces of what trickles.
const DRIP: Duration = Duration::from_secs(1);
/// Before what was closed is opened again.
const PAUSE: Duration = Duration::from_millis(500);

const REQUEST: &[u8] = b"GET /livez HTTP/1.1\r\nhost: a\r\n\r\n";

pub(super) async fn slow_heads(front: Arc<Front>) {
    crowd(&front, 2_000, |front, number| async move {
        while !front.is_over() {
            drip(&front, number % 4, b"GET /livez HTTP/1.1\r\nhost: a\r\n", b"x: y\r\n").await;
        }
    })
    .await;
}

pub(super) async fn slow_bodies(front: Arc<Front>) {
    const HEAD: &[u8] = b"POST /v1/auth/login HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n\
        content-length: 10000\r\n\r\n{";
    crowd(&front, 1_000, |front, number| async move {
        while !front.is_over() {
            drip(&front, number % 2, HEAD, b" ").await;
        }
    })
    .await;
}

/// Begins, and then says a little at a time until the server has enough of it.
async fn drip(front: &Arc<Front>, source: usize, begin: &[u8], piece: &[u8]) {
    if let Some(mut line) = front.connect(source).await
        && line.say(begin).await
    {
        while line.hear(DRIP).await && line.say(piece).await {}
        front.note(line.answer(Duration::ZERO).await);
    }
    tokio::time::sleep(PAUSE).await;
}

pub(super) async fn flood(front: Arc<Front>) {
    stream(&front, 500, |front, number| async move {
        let Some(mut line) = front.connect(number % 10).await else { return };
        if number % 2 == 0 {
            front.note("left");
        } else if line.say(REQUEST).await {
            front.note(line.answer(Duration::from_secs(10)).await);
        }
    })
    .await;
}

pub(super) async fn idle(front: Arc<Front>) {
    crowd(&front, 5_000, |front, number| async move {
        while !front.is_over() {
            // From addresses of their own: which the other attacks do not use.
            if let Some(mut line) = front.connect(20 + number % 5).await
                && line.say(REQUEST).await
            {
                front.note(line.answer(Duration::from_secs(10)).await);
                while line.hear(Duration::from_secs(60)).await {}
                front.note("closed when idle");
            }
            tokio::time::sleep(PAUSE).await;
        }
    })
    .await;
}

pub(super) async fn above_the_cap(front: Arc<Front>) {
    crowd(&front, 1_500, |front, _| async move {
        while !front.is_over() {
            if let Some(mut line) = front.connect(30).await
                && line.say(REQUEST).await
            {
                front.note(line.answer(Duration::from_secs(10)).await);
                while line.hear(Duration::from_secs(60)).await {}
            }
            tokio::time::sleep(PAUSE).await;
        }
    })
    .await;
}

pub(super) async fn slow_readers(front: Arc<Front>) {
    crowd(&front, 200, |front, number| async move {
        let many = b"GET /openapi.json HTTP/1.1\r\nhost: a\r\n\r\n".repeat(64);
        while !front.is_over() {
            if let Some(mut line) = front.connect(number % 4).await {
                while line.try_say(&many) {
                    tokio::time::sleep(DRIP).await;
                }
                front.note("cut off");
            }
            tokio::time::sleep(PAUSE).await;
        }
    })
    .await;
}
