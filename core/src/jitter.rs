//! Jitter that is the same for the same thing: a hash of its name instead of a random number, as in Airflow. Two
//! processes, or one before and after a crash, therefore compute the same delay.

use std::time::Duration;

use sha1::{Digest, Sha1};

use crate::ids::DagId;

/// How much later than due a DAG's scheduled runs start: less than `jitter`, to the microsecond, and always the same for
/// the same DAG.
#[must_use]
pub fn start_delay(dag_id: &DagId, jitter: Duration) -> Duration {
    let modulus = u64::try_from(jitter.as_micros()).unwrap_or(u64::MAX);
    Duration::from_micros(hash_modulo(&format!("{dag_id}\njitter"), modulus))
}

/// SHA-1 of the name, read as one big number, modulo `modulus` (0 if that is 0).
pub(crate) fn hash_modulo(name: &str, modulus: u64) -> u64 {
    if modulus == 0 {
        return 0;
    }
    let modulus = u128::from(modulus);
    let remainder =
        Sha1::digest(name.as_bytes()).iter().fold(0_u128, |rest, &byte| ((rest << 8) | u128::from(byte)) % modulus);
    u64::try_from(remainder).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::hash_modulo;

    #[test]
    fn the_remainder_is_that_of_the_whole_number() {
        // Python: int(hashlib.sha1(b"abc").hexdigest(), 16) % m
        assert_eq!(hash_modulo("abc", 1000), 517);
        assert_eq!(hash_modulo("abc", 1), 0);
        assert_eq!(hash_modulo("abc", 0), 0);
    }
}
