//! [`open`]: the guest's end of the data channel.

use std::fs::{self, File, OpenOptions};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

use corematrix_protocol::PORT_NAME;

/// How long a virtio port may take to appear; its driver probes in the background.
const PATIENCE: Duration = Duration::from_secs(3);
/// The second ISA serial port: slow, but every kernel has a driver for it.
const SERIAL: &str = "/dev/ttyS1";

/// Opens the virtio port, or the serial port where there is no virtio.
pub fn open() -> Result<File, String> {
    let begin = Instant::now();
    // Without the driver the class never appears, so waiting would be in vain.
    while fs::exists("/sys/class/virtio-ports").unwrap_or(false) || begin.elapsed() < Duration::from_millis(200) {
        if let Some(device) = virtio_port() {
            let file = OpenOptions::new().read(true).write(true).open(&device);
            return file.map_err(|error| format!("cannot open {}: {error}", device.display()));
        }
        if begin.elapsed() > PATIENCE {
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    open_serial().map_err(|error| format!("no virtio port `{PORT_NAME}`, and cannot open {SERIAL}: {error}"))
}

fn virtio_port() -> Option<PathBuf> {
    let ports = fs::read_dir("/sys/class/virtio-ports").ok()?;
    ports.flatten().find_map(|port| {
        let name = fs::read_to_string(port.path().join("name")).ok()?;
        (name.trim() == PORT_NAME).then(|| PathBuf::from("/dev").join(port.file_name()))
    })
}

fn open_serial() -> std::io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).open(SERIAL)?;
    let mut settings = tcgetattr(&file)?;
    settings.make_raw();
    settings.set_speed(115_200)?;
    tcsetattr(&file, OptionalActions::Now, &settings)?;
    Ok(file)
}
