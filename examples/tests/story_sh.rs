//! The story with curl, as a reader runs it.

use std::path::Path;
use std::process::Command;

#[test]
fn the_story_over_http_ends_well() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let output = Command::new(root.join("examples/story.sh")).output().unwrap();
    let (told, complaints) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{told}\n{complaints}");
    assert!(told.contains("Subject: Welcome, Ada") && told.ends_with("== The end\n"), "{told}");
}
