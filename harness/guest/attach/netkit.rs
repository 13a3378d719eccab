//! [`NetkitPair`]: a pair of netkit devices, for the programs that attach to one.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

/// Name of the device that programs attach to. The other is named by the kernel.
const NAME: &str = "cmnk0";

const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLM_F_EXCL: u16 = 0x200;
const NLM_F_CREATE: u16 = 0x400;
const IFLA_IFNAME: u16 = 3;
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;

/// A pair of netkit devices; both go when this is dropped.
pub struct NetkitPair {
    /// Number of the primary device.
    pub index: i32,
    socket: OwnedFd,
}

impl NetkitPair {
    /// Makes a pair.
    pub fn new() -> io::Result<NetkitPair> {
        let kind = SocketType::RAW;
        let socket = socket_with(AddressFamily::NETLINK, kind, SocketFlags::CLOEXEC, None)?;
        let info = attribute(IFLA_LINKINFO, &attribute(IFLA_INFO_KIND, b"netkit"));
        let name = attribute(IFLA_IFNAME, &[NAME.as_bytes(), b"\0"].concat());
        let flags = NLM_F_CREATE | NLM_F_EXCL;
        match ask(&socket, RTM_NEWLINK, flags, 0, &[name, info].concat()) {
            Ok(()) => {}
            // One that an earlier program left.
            Err(error) if error.raw_os_error() == Some(libc::EEXIST) => {}
            Err(error) => return Err(error),
        }
        // SAFETY: the name is a valid C string.
        let index = unsafe { libc::if_nametoindex(c"cmnk0".as_ptr()) };
        let index = i32::try_from(index).ok().filter(|&index| index != 0).ok_or_else(io::Error::last_os_error)?;
        Ok(NetkitPair { index, socket })
    }
}

impl Drop for NetkitPair {
    fn drop(&mut self) {
        // A device that stays is in no one's way.
        let _ = ask(&self.socket, RTM_DELLINK, 0, self.index, &[]);
    }
}

/// An attribute of netlink: length, type, value, and zeroes up to the next four bytes.
fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend_from_slice(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// Sends a message about a device, and waits for the kernel's answer.
fn ask(socket: &OwnedFd, kind: u16, flags: u16, index: i32, attributes: &[u8]) -> io::Result<()> {
    // `struct nlmsghdr` is 16 bytes, `struct ifinfomsg` another 16.
    let length = u32::try_from(32 + attributes.len()).unwrap_or(u32::MAX);
    let mut message = Vec::with_capacity(32 + attributes.len());
    message.extend_from_slice(&length.to_ne_bytes());
    message.extend_from_slice(&kind.to_ne_bytes());
    message.extend_from_slice(&(NLM_F_REQUEST | NLM_F_ACK | flags).to_ne_bytes());
    message.extend_from_slice(&[0; 8]);
    message.extend_from_slice(&[0; 4]);
    message.extend_from_slice(&index.to_ne_bytes());
    message.extend_from_slice(&[0; 8]);
    message.extend_from_slice(attributes);
    // SAFETY: the socket is open, and the message is as long as it says.
    let sent = unsafe { libc::send(socket.as_raw_fd(), message.as_ptr().cast(), message.len(), 0) };
    if sent < 0 {
        return Err(io::Error::last_os_error());
    }
    let mut answer = [0u8; 512];
    // SAFETY: the socket is open, and the buffer is as long as stated.
    let got = unsafe { libc::recv(socket.as_raw_fd(), answer.as_mut_ptr().cast(), answer.len(), 0) };
    if got < 20 {
        return Err(if got < 0 { io::Error::last_os_error() } else { io::ErrorKind::UnexpectedEof.into() });
    }
    // `struct nlmsgerr` begins with the errno, negative.
    match i32::from_ne_bytes([answer[16], answer[17], answer[18], answer[19]]) {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(-error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_padded_and_their_length_is_not() {
        assert_eq!(attribute(1, b"netkit"), [10, 0, 1, 0, b'n', b'e', b't', b'k', b'i', b't', 0, 0]);
        assert_eq!(attribute(3, b""), [4, 0, 3, 0]);
        assert!(NAME.len() < libc::IFNAMSIZ);
    }
}
