//! Proxies, authorities of one's own, and hosts that cannot be reached: what a user's network asks of every download.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use super::INFRASTRUCTURE;
use super::common::{Ended, Lab, Run, need, object};
use super::service::{Service, command, done};

/// A proxy that writes down what is requested, and leads nowhere.
struct Proxy {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    fn start() -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let log = Arc::clone(&asked);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let request: Vec<String> = head(&stream);
                let user = request.iter().any(|line| line.starts_with("Proxy-Authorization: Basic "));
                let first = request.first().cloned().unwrap_or_default();
                let status = if first.starts_with("CONNECT") { "403 Forbidden" } else { "404 Not Found" };
                log.lock().unwrap().push(format!("{first}{}", if user { " with user" } else { "" }));
                let answer = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        Proxy { address, asked }
    }

    /// What it was asked for since the last time. Where there is KVM, a run also wants a kernel to prove it with.
    fn asked(&self) -> Vec<String> {
        let mut asked = std::mem::take(&mut *self.asked.lock().unwrap());
        asked.dedup();
        asked
    }
}

fn head(stream: &TcpStream) -> Vec<String> {
    let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    lines.take_while(|line| !line.is_empty()).collect()
}

/// A lab whose kernel is a package at this address.
fn lab(address: &str) -> Lab {
    let lab = Lab::new();
    let sha256 = "ab".repeat(32);
    lab.manifest(&format!("[kernel.far]\nsource = \"package\"\nfiles = [\"{address}\"]\nsha256 = [\"{sha256}\"]\n"));
    lab
}

/// Runs the lab's kernel, which is unavailable.
#[track_caller]
fn run(lab: &Lab, environment: &[(&str, &str)]) -> Ended {
    let mut command = lab.command(&[&object("plain")]);
    for name in ["http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"] {
        command.env_remove(name);
    }
    command.env_remove("CURL_CA_BUNDLE").env_remove("SSL_CERT_FILE").env_remove("SSL_CERT_DIR");
    command.envs(environment.iter().copied());
    let ended = Run::start(command, &lab.path("run")).wait();
    ended.expect(INFRASTRUCTURE);
    let report = fs::read_to_string(lab.out().join("report.json")).unwrap();
    assert!(!format!("{}{}{report}", ended.stdout, ended.stderr).contains("sesame"), "a password is shown");
    ended
}

#[test]
fn proxies_are_used_where_they_are_wanted_and_dead_ends_are_remembered() {
    need!("guests");
    let proxy = Proxy::start();
    let address = format!("http://user:sesame@{}", proxy.address);
    let http = lab("http://me:sesame@kernels.example/linux.deb?key=sesame");
    run(&http, &[("http_proxy", &address)]).expect_said(&[
        "`http://kernels.example/linux.deb`",
        "does not have the \
    file",
    ]);
    assert_eq!(proxy.asked(), ["GET http://kernels.example/linux.deb?key=sesame HTTP/1.1 with user"]);

    // For https a proxy is asked to connect; this one does not, which no second try will change.
    let https = lab("https://kernels.example/linux.deb");
    let ended = run(&https, &[("https_proxy", &address)]);
    ended.expect_said(&["the proxy refused the connection (status 403)", "hint: ", "proxy settings"]);
    assert_eq!(proxy.asked(), ["CONNECT kernels.example:443 HTTP/1.1 with user"]);
    run(&https, &[("https_proxy", &address)]).expect_said(&["refused the connection (status 403) (just tried)"]);
    assert!(proxy.asked().is_empty(), "it is asked again at once");

    // `no_proxy` leads past it, to a name that no one has.
    let direct = lab("http://kernels.invalid/linux.deb");
    let ended = run(&direct, &[("http_proxy", &address), ("no_proxy", "kernels.invalid")]);
    assert!(
        ended.stderr.contains("the name of the server cannot be resolved") || ended.stderr.contains("does not answer"),
        "{}",
        ended.stderr
    );
    assert!(proxy.asked().is_empty());
}

/// An authority made for the test, and a server's certificate and key by it.
fn authority(lab: &Lab) -> [PathBuf; 3] {
    let [authority, authority_key, request, certificate, key] =
        ["ca.pem", "ca.key", "request", "server.pem", "server.key"].map(|name| lab.path(name));
    let new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    let openssl = || command("openssl");
    done(
        openssl()
            .args(["req", "-x509", "-subj", "/CN=test authority", "-days", "2"])
            .args(new_key)
            .arg("-keyout")
            .arg(&authority_key)
            .arg("-out")
            .arg(&authority),
    );
    done(
        openssl()
            .args(["req", "-subj", "/CN=127.0.0.1"])
            .args(new_key)
            .arg("-keyout")
            .arg(&key)
            .arg("-out")
            .arg(&request),
    );
    let names = lab.path("names");
    fs::write(&names, "subjectAltName=IP:127.0.0.1\n").unwrap();
    done(
        openssl()
            .args(["x509", "-req", "-days", "2", "-in"])
            .arg(&request)
            .arg("-CA")
            .arg(&authority)
            .arg("-CAkey")
            .arg(&authority_key)
            .arg("-CAcreateserial")
            .arg("-extfile")
            .arg(&names)
            .arg("-out")
            .arg(&certificate),
    );
    [authority, certificate, key]
}

#[test]
fn an_authority_of_ones_own_is_trusted_where_it_is_named() {
    need!("guests", "openssl");
    let lab = Lab::new();
    let [authority, certificate, key] = authority(&lab);
    let server = Service::https(&certificate, &key);
    fs::write(server.files().join("linux.deb"), "no package").unwrap();
    let sha256 = "ab".repeat(32);
    let files = format!("files = [\"https://{}/linux.deb\"]\nsha256 = [\"{sha256}\"]", server.host());
    lab.manifest(&format!("[kernel.far]\nsource = \"package\"\n{files}\n"));
    run(&lab, &[]).expect_said(&["certificate", "hint: ", "`SSL_CERT_FILE`"]);
    // Now it is trusted, and what it gives is judged.
    let ended = run(&lab, &[("SSL_CERT_FILE", authority.to_str().unwrap())]);
    ended.expect_said(&["linux.deb`: its sha256 is `", "expected `abab"]);
}
