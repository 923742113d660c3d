//! Attacks on what stands behind a request: the hashing of passwords, an upstream.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::front::{Front, stream};

/// An answer of an overloaded server comes within this time.
const SOON: Duration = Duration::from_millis(50);

pub(super) async fn bad_logins(front: Arc<Front>) {
    stream(&front, 500, |front, number| async move {
        let Some(mut line) = front.connect(number % 10).await else { return };
        let body =
            format!("{{\"email\":\"user{number}@example.org\",\"password\":\"not the right password\"}}");
        let head = format!(
            "POST /v1/auth/login HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n",
            body.len()
        );
        let begin = Instant::now();
        line.say((head + &body).as_bytes()).await;
        let answer = line.answer(Duration::from_secs(10)).await;
        if matches!(answer.as_str(), "429" | "503") {
            let took = begin.elapsed();
            front.refused_after(took);
            front.note(if took > SOON { format!("{answer} after more than 50 ms") } else { answer });
        } else {
            front.note(answer);
        }
    })
    .await;
}

pub(super) async fn hanging_upstream(front: Arc<Front>) {
    stream(&front, 200, |front, number| async move {
        let Some(mut line) = front.connect(number % 4).await else { return };
        line.say(b"GET /hanging HTTP/1.1\r\nhost: a\r\n\r\n").await;
        front.note(line.answer(Duration::from_secs(40)).await);
    })
    .await;
}
