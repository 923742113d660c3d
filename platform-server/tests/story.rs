//! The story with curl, as a reader runs it: `examples/story.sh`.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::Command;

#[test]
fn the_story_over_http_ends_well() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let platform = Path::new(env!("CARGO_BIN_EXE_platform"));
    let folder = platform.parent().unwrap();
    if ["mail-sink", "hello"].iter().any(|helper| !folder.join(helper).exists()) {
        let arguments = ["build", "--quiet", "--package", "test-support", "--bins", "--target-dir"];
        let built =
            Command::new(env!("CARGO")).args(arguments).arg(folder.parent().unwrap()).status().unwrap();
        assert!(built.success());
    }
    let script = root.join("examples/story.sh");
    let output = Command::new(script).env("PLATFORM_BIN", platform).output().unwrap();
    let (told, complaints) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{told}\n{complaints}");
    assert!(told.contains("Subject: Welcome, Ada") && told.ends_with("== The end\n"), "{told}");
}
