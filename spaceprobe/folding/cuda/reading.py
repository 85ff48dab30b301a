"""From a walk to length, reach and peak folding: lane 0 reads it from a, lane 1 from b."""

from spaceprobe.folding.cuda.lanes import lane, pick, read


def read_walk(work, num_flips):
    """Return reach, and length and reach of the peak, of a walk in which every step is one flip.

    As `spaceprobe.folding.kernels.reading.read_walk`, both directions at once; other lanes repeat these two.
    """
    is_back = (lane() & 1) == 1
    distance = 0 * lane()
    reach = 0 * lane()
    peak_length = 0 * lane() + 1  # 1 over 1 stands for the empty prefix: χ = 0
    peak_reach = 0 * lane() + 1
    for i in range(num_flips):
        code = read(work.codes, pick(is_back, num_flips - 1 - i, i))
        is_away = pick(is_back, code & 1, (code >> 1) & 1)
        distance = distance + 2 * is_away - 1
        reach = pick(distance > reach, distance, reach)
        is_peak = reach * peak_length < peak_reach * (i + 1)
        peak_reach = pick(is_peak, reach, peak_reach)
        peak_length = pick(is_peak, i + 1, peak_length)
    is_folded = peak_length > peak_reach
    return reach, pick(is_folded, peak_length, 0), pick(is_folded, peak_reach, 0)
