//! The real binary as an operator uses it: start, backup, restore, doctor, broken disks.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::json;
use test_support::client::Client;
use test_support::process::Process;

const PLATFORM: &str = env!("CARGO_BIN_EXE_platform");
const PASSWORD: &str = "correct horse battery";

fn start(data: &Path) -> Process {
    Process::start(Path::new(PLATFORM), data, &[])
}

fn platform(arguments: &[&str], data: &Path) -> Output {
    Command::new(PLATFORM).args(arguments).arg("--data").arg(data).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Makes the first administrator, and returns a client that is signed in.
fn administrator(process: &Process) -> Client {
    let token = process.setup_token.clone().unwrap();
    let request = json!({"token": token, "email": "admin@example.com", "password": PASSWORD});
    let answer = Client::new(process.address).send("POST", "/v1/setup", Some(&request)).unwrap();
    assert!(answer.status < 300, "{}", answer.json());
    Client::new(process.address).with_token(answer.json()["access_token"].as_str().unwrap())
}

fn signed_in(process: &Process, email: &str) -> Option<Client> {
    let request = json!({"email": email, "password": PASSWORD});
    let answer = Client::new(process.address).send("POST", "/v1/auth/login", Some(&request)).unwrap();
    let token = answer.json()["access_token"].as_str()?.to_owned();
    Some(Client::new(process.address).with_token(&token))
}

fn register(process: &Process, email: &str) -> u16 {
    let request = json!({"email": email, "password": PASSWORD});
    Client::new(process.address).send("POST", "/v1/auth/register", Some(&request)).unwrap().status
}

#[test]
fn a_backup_of_a_running_server_brings_everything_back() {
    a_backup_under_load_on(&[]);
}

#[test]
fn a_backup_of_a_running_server_on_fjall_brings_everything_back() {
    let stores = "gateway,auth,users,transactions,notifications,audit,flags";
    a_backup_under_load_on(&[("PLATFORM__STORAGE__FJALL", stores)]);
}

fn a_backup_under_load_on(engines: &[(&str, &str)]) {
    let folder = tempfile::tempdir().unwrap();
    let (data, copy) = (folder.path().join("data"), folder.path().join("copy"));
    let process = Process::start(Path::new(PLATFORM), &data, engines);
    administrator(&process);
    assert_eq!(register(&process, "before@example.com"), 201);
    // Others write meanwhile, so that the log and every store are busy.
    let address = process.address;
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let registered = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let writers: Vec<_> = (0..3)
        .map(|writer| {
            let (stop, registered) = (std::sync::Arc::clone(&stop), std::sync::Arc::clone(&registered));
            std::thread::spawn(move || {
                let mut client = Client::new(address);
                let mut count = 0;
                while !stop.load(std::sync::atomic::Ordering::SeqCst) {
                    count += 1;
                    let email = format!("writer{writer}.{count}@example.com");
                    let request = json!({"email": email, "password": PASSWORD});
                    assert_eq!(client.send("POST", "/v1/auth/register", Some(&request)).unwrap().status, 201);
                    registered.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                }
            })
        })
        .collect();
    while registered.load(std::sync::atomic::Ordering::SeqCst) < 6 {
        assert!(writers.iter().all(|writer| !writer.is_finished()), "a writer was refused");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let made = platform(&["backup", copy.to_str().unwrap()], &data);
    let again = platform(&["backup", copy.to_str().unwrap()], &data);
    let verified = platform(&["audit", "verify"], &data);
    let exported = platform(&["audit", "export", folder.path().join("log").to_str().unwrap()], &data);
    stop.store(true, std::sync::atomic::Ordering::SeqCst);
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    assert!(made.status.success(), "{}", text(&made.stderr));
    assert!(text(&again.stderr).contains("backup.exists"), "{}", text(&again.stderr));
    assert!(text(&verified.stdout).contains("the audit log holds"), "{}", text(&verified.stderr));
    assert!(exported.status.success() && folder.path().join("log/checkpoint").exists());
    let left: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !text(name.as_encoded_bytes()).contains("audit-")), "{left:?}");
    assert_eq!(register(&process, "after@example.com"), 201);
    let refused = platform(&["restore", copy.to_str().unwrap()], &data);
    assert!(!refused.status.success());
    assert!(text(&refused.stderr).contains("store.locked"), "{}", text(&refused.stderr));
    drop(process);
    let restored = platform(&["restore", copy.to_str().unwrap()], &data);
    assert!(restored.status.success(), "{}", text(&restored.stderr));
    let hash = |output: &Output| text(&output.stdout).split("sha256 ").nth(1).unwrap()[..64].to_owned();
    assert_eq!(hash(&made), hash(&restored));
    let process = start(&data);
    assert_eq!(process.setup_token, None, "there is an administrator");
    assert!(signed_in(&process, "admin@example.com").is_some());
    assert!(signed_in(&process, "before@example.com").is_some());
    assert!(signed_in(&process, "after@example.com").is_none());
    // Whoever is in the copy is there in every domain: the stores are of one moment.
    let mut client = signed_in(&process, "admin@example.com").unwrap();
    let page = client.send("GET", "/v1/users?email_prefix=writer&limit=500", None).unwrap().json();
    let restored_writers = page["items"].as_array().unwrap();
    assert!(!restored_writers.is_empty());
    for user in restored_writers.iter().rev().take(5) {
        assert!(signed_in(&process, user["email"].as_str().unwrap()).is_some(), "{user}");
    }
    drop(process);
    let verified = platform(&["audit", "verify"], &data);
    assert!(verified.status.success(), "{}{}", text(&verified.stdout), text(&verified.stderr));
    let kept = std::fs::read_dir(folder.path())
        .unwrap()
        .flatten()
        .find(|entry| text(entry.file_name().as_encoded_bytes()).starts_with("data.before-"));
    assert!(kept.is_some());
}

#[test]
fn the_socket_of_the_command_line_is_private_found_at_any_length_and_gone_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let deep = folder.path().join("a-long-name/".repeat(12));
    let data = deep.join("data");
    // What a killed server leaves is no hindrance.
    std::fs::create_dir_all(&data).unwrap();
    drop(std::os::unix::net::UnixListener::bind(folder.path().join("stale")).unwrap());
    std::fs::rename(folder.path().join("stale"), data.join("control.sock")).unwrap();
    let process = Process::start(Path::new(PLATFORM), &data, &[("PLATFORM__STORAGE__FJALL", "audit")]);
    let socket = data.join("control.sock");
    assert_eq!(socket.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let made = platform(&["backup", deep.join("copy").to_str().unwrap()], &data);
    assert!(made.status.success(), "{}", text(&made.stderr));
    process.stop();
    assert!(!socket.exists());
    let verified = platform(&["audit", "verify"], &data);
    assert!(verified.status.success(), "{}", text(&verified.stderr));
}

#[test]
fn a_second_server_on_the_folder_is_refused_and_the_first_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let process = start(&data);
    let second = platform(&["serve", "--listen", "127.0.0.1:0"], &data);
    assert_eq!(second.status.code(), Some(1));
    assert!(text(&second.stderr).contains("store.locked"), "{}", text(&second.stderr));
    assert_eq!(Client::new(process.address).send("GET", "/readyz", None).unwrap().status, 200);
}

/// The binary as somebody whom permissions bind: root is not.
fn bound_program(folder: &Path) -> PathBuf {
    let mode =
        |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    let id = Command::new("id").arg("-u").output().unwrap();
    if text(&id.stdout).trim() != "0" {
        return PathBuf::from(PLATFORM);
    }
    let (program, script) = (folder.join("platform"), folder.join("platform-as-nobody"));
    std::fs::copy(PLATFORM, &program).unwrap();
    let drop_to = "setpriv --reuid=65534 --regid=65534 --clear-groups";
    let lines = format!("#!/bin/bash\nexec {drop_to} {} \"$@\"\n", program.display());
    std::fs::write(&script, lines).unwrap();
    [folder, &program, &script].into_iter().for_each(|path| mode(path, 0o755));
    // Where that user may make its folders.
    let home = folder.join("home");
    std::fs::create_dir(&home).unwrap();
    std::os::unix::fs::chown(&home, Some(65534), Some(65534)).unwrap();
    script
}

/// Takes the right to write from a folder and from all that is in it, or gives it back.
fn set_writable(folder: &Path, writable: bool) {
    let change = if writable { "u+w" } else { "a-w" };
    assert!(Command::new("chmod").args(["-R", change]).arg(folder).status().unwrap().success());
}

#[test]
fn a_folder_that_cannot_be_written_is_a_clear_error_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let program = bound_program(folder.path());
    let home = folder.path().join("home");
    std::fs::create_dir_all(&home).unwrap();
    let refused = |data: &Path, codes: &[&str]| {
        let arguments = ["serve", "--listen", "127.0.0.1:0", "--data"];
        let refused = Command::new(&program).args(arguments).arg(data).output().unwrap();
        assert_eq!(refused.status.code(), Some(1), "{}", data.display());
        let said = text(&refused.stderr);
        let error = said.lines().find(|line| line.starts_with("error: ")).unwrap_or_else(|| panic!("{said}"));
        assert!(codes.iter().any(|code| error.contains(code)) && error.contains("path="), "{said}");
        assert!(!said.contains("panicked"), "{said}");
    };
    for engine in ["", "gateway,auth,users,transactions,notifications,audit,flags"] {
        let data = home.join(format!("data{}", engine.len()));
        let environment = [("PLATFORM__STORAGE__FJALL", engine)];
        let process = Process::start(&program, &data, &environment);
        administrator(&process);
        process.stop();
        // The folder alone, then all that is in it, then that in which it would be made.
        std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o555)).unwrap();
        refused(&data, &["store.unavailable", "store.not_writable", "log.unavailable"]);
        set_writable(&data, false);
        refused(&data, &["store.unavailable"]);
        let missing = data.join("inner/data");
        refused(&missing, &["store.unavailable", "keys.not_readable"]);
        set_writable(&data, true);
        let process = Process::start(&program, &data, &environment);
        assert_eq!(process.setup_token, None, "there is an administrator");
        assert!(signed_in(&process, "admin@example.com").is_some());
    }
}

#[test]
fn a_folder_that_becomes_read_only_under_a_server_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let program = bound_program(folder.path());
    for engine in ["", "gateway,auth,users,transactions,notifications,audit,flags"] {
        let data = folder.path().join("home").join(format!("data{}", engine.len()));
        let process = Process::start(&program, &data, &[("PLATFORM__STORAGE__FJALL", engine)]);
        let mut acknowledged = Vec::new();
        for number in 0..20 {
            if number == 5 {
                set_writable(&data, false);
            }
            let email = format!("user{number}@example.com");
            match register(&process, &email) {
                201 => acknowledged.push(email),
                status => assert_eq!(status, 503),
            }
        }
        assert!(acknowledged.len() >= 5);
        assert_eq!(Client::new(process.address).send("GET", "/livez", None).unwrap().status, 200);
        set_writable(&data, true);
        let log = process.stop();
        assert!(!log.contains("panicked"), "{log}");
        let process = Process::start(&program, &data, &[]);
        for email in &acknowledged {
            assert!(signed_in(&process, email).is_some(), "{email} was acknowledged and is lost");
        }
    }
}

/// Runs the server where no file may grow above this many KiB: what a full disk looks like without
/// needing one. (SIGXFSZ is ignored, so that the write fails instead of the process.)
fn start_with_full_disk(folder: &Path, data: &Path, kib: u32) -> Process {
    let script = folder.join("platform-on-a-full-disk");
    let text = format!("#!/bin/bash\ntrap '' XFSZ\nulimit -f {kib}\nexec {PLATFORM} \"$@\"\n");
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    Process::start(&script, data, &[])
}

#[test]
fn on_a_full_disk_nothing_acknowledged_is_lost_and_the_error_is_clear() {
    fill_the_disk(&[]);
}

#[test]
fn on_a_full_disk_nothing_acknowledged_is_lost_on_fjall() {
    let stores = "gateway,auth,users,transactions,notifications,audit,flags";
    fill_the_disk(&[("PLATFORM__STORAGE__FJALL", stores)]);
}

fn fill_the_disk(engines: &[(&str, &str)]) {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    drop(Process::start(Path::new(PLATFORM), &data, engines));
    let process = start_with_full_disk(folder.path(), &data, 400);
    let mut acknowledged = Vec::new();
    let mut refusals = Vec::new();
    for number in 0..400 {
        let email = format!("user{number}@example.com");
        let request = json!({"email": email, "password": PASSWORD});
        let answer = Client::new(process.address).send("POST", "/v1/auth/register", Some(&request)).unwrap();
        if answer.status == 201 {
            acknowledged.push(email);
        } else {
            assert_eq!(answer.status, 503, "{}", answer.json());
            refusals.push(answer.code());
        }
        if refusals.len() >= 3 {
            break;
        }
    }
    assert!(!refusals.is_empty(), "the disk never was full: {} accounts", acknowledged.len());
    assert!(refusals.iter().all(|code| code.starts_with("store.")), "{refusals:?}");
    assert_eq!(Client::new(process.address).send("GET", "/livez", None).unwrap().status, 200);
    let log = process.stop();
    assert!(!log.contains("panicked"), "{log}");
    let process = start(&data);
    for email in &acknowledged {
        assert!(signed_in(&process, email).is_some(), "{email} was acknowledged and is lost");
    }
}

#[test]
fn doctor_and_config_say_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let healthy = platform(&["doctor", "--set", "server.listen=127.0.0.1:0"], &data);
    assert!(healthy.status.success(), "{}", text(&healthy.stdout));
    drop(start(&data));
    std::fs::remove_file(folder.path().join("data.key")).unwrap();
    let sick = platform(&["doctor", "--set", "server.listen=127.0.0.1:0"], &data);
    assert_eq!(sick.status.code(), Some(1));
    assert!(
        text(&sick.stdout).contains("FAIL") && text(&sick.stdout).contains("data.key"),
        "{}",
        text(&sick.stdout)
    );
    let wrong = platform(&["config", "check", "--set", "server.lisen=x"], &data);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(text(&wrong.stderr).contains("did you mean server.listen?"));
    for (setting, says) in [
        ("notifications.smtp_url=nonsense", "config.invalid_smtp_url"),
        ("notifications.from=nobody", "config.invalid_sender"),
        ("auth.argon2_memory_kib=1", "auth.invalid_config"),
        ("storage.fjall=users,ledger", "config.unknown_store"),
    ] {
        let wrong = platform(&["config", "check", "--set", setting], &data);
        assert_eq!(wrong.status.code(), Some(2), "{setting}");
        assert!(text(&wrong.stderr).contains(says), "{setting}: {}", text(&wrong.stderr));
    }
    assert!(platform(&["config", "check"], &data).status.success());
    let shown = platform(&["config", "show", "--origin"], &data);
    assert!(text(&shown.stdout).contains("# flag --data"));
    let secret = Command::new(PLATFORM)
        .args(["config", "show"])
        .env("PLATFORM__NOTIFICATIONS__SMTP_URL", "smtp://user:hunter2@mail:25")
        .output()
        .unwrap();
    assert!(secret.status.success() && !text(&secret.stdout).contains("hunter2"));
}

#[test]
fn who_reads_no_further_ends_a_command_without_an_error() {
    let mut child = Command::new(PLATFORM)
        .args(["config", "show"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn a_server_that_is_told_to_stop_ends_with_success() {
    let folder = tempfile::tempdir().unwrap();
    let process = start(&folder.path().join("data"));
    let log = process.stop();
    assert!(log.contains("stopping"), "{log}");
    for line in log.lines() {
        let line: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
        assert!(line["timestamp"].is_string() && line["level"].is_string() && line["message"].is_string());
    }
}
