//! [`without_addresses`]: a line of the verifier's log without what differs from load to load.

/// How the kernel's own addresses begin, and how many digits follow.
const START: &str = "0xffff";
const DIGITS: usize = 12;

/// The line with `0x0` for each address in the kernel.
pub(crate) fn without_addresses(line: &str) -> String {
    let mut parts = line.split(START);
    let mut kept = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.bytes().take_while(u8::is_ascii_hexdigit).count();
        let (start, rest) = if digits == DIGITS { ("0x0", &part[digits..]) } else { (START, part) };
        kept.push_str(start);
        kept.push_str(rest);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::without_addresses;

    #[test]
    fn addresses_go_and_other_numbers_stay() {
        let line = "regs=40 stack=0 before 38: (18) r1 = 0xffffc90000566008";
        assert_eq!(without_addresses(line), "regs=40 stack=0 before 38: (18) r1 = 0x0");
        assert_eq!(
            without_addresses("r1=map_ptr(ks=4) 0xffff888003c1a000, 0xffff888003c1a0ff."),
            "r1=map_ptr(ks=4) 0x0, 0x0."
        );
        for line in ["umax_value=0xffffffff", "var_off=(0x0; 0xffffffffffffffff00)", "r2 &= 0xffff", ""] {
            assert_eq!(without_addresses(line), line);
        }
    }
}
