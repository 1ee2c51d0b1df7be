# SPDX-License-Identifier: Apache-2.0
#
# Medians of what a bench scenario printed, as a Markdown table, and appended
# to the file `tsv`: panel, group, series, median, least, most. Of percentages,
# which come many times, the table has the geometric mean and its standard error:
# an arithmetic one of ratios is the larger the more they differ. Those of 0
# have no logarithm: they are left out, and counted.
#   ROW bench WHO FIGURE VALUE
#   ROW notify DIRECTION USECS/FRAMES FIGURE VALUE
#   ROW dim LOAD FIGURE VALUE

$2 == "ROW" && $3 == "bench" { add($5, $4, $6) }
$2 == "ROW" && $3 == "notify" { notify = 1; add($4 " " $6, $5, $7) }
$2 == "ROW" && $3 == "dim" { dim = 1; add($5, $4, $6) }

# add(FIGURE, SERIES, VALUE): both keep the order in which they first came.
function add(figure, series, value) {
  if (!(figure in seen_figure)) { figures[++nf] = figure; seen_figure[figure] }
  if (!(series in seen_series)) { all_series[++ns] = series; seen_series[series] }
  values[figure, series] = values[figure, series] " " value
}

# Sets median, least and most.
function digest(figure, series,    n, v, i, j, t) {
  n = split(values[figure, series], v, " ")
  for (i = 2; i <= n; i++) {
    t = v[i] + 0
    for (j = i; j > 1 && v[j - 1] + 0 > t; j--) v[j] = v[j - 1]
    v[j] = t
  }
  if (n == 0) return 0
  least = v[1]; most = v[n]
  median = n % 2 ? v[(n + 1) / 2] : (v[n / 2] + v[n / 2 + 1]) / 2
  return n
}

# Sets mean and deviation.
function digest_ratios(figure, series,    n, v, i, logs, squares) {
  split(values[figure, series], v, " ")
  n = logs = squares = 0
  for (i in v) {
    if (v[i] + 0 > 0) { n++; logs += log(v[i]) } else stalled++
  }
  if (n > 0) logs /= n
  for (i in v) if (v[i] + 0 > 0) squares += (log(v[i]) - logs) ^ 2
  mean = exp(logs)
  deviation = n > 1 ? mean * sqrt(squares / (n - 1) / n) : 0
}

END {
  if (notify) {
    print "What coalescing (usecs/frames) saves and costs, in the VM with " \
      "Linux " kernel ": median (least..most)\n"
  } else if (dim) {
    print "How long adaptive-rx of Linux " kernel " had each rx-usecs set, " \
      "how often it changed it, and what came of it: median (least..most)\n"
  } else {
    print "In the VM, Linux " kernel ", with virtio-vdpa as the consumer: " \
      "median (least..most)\n"
  }
  line = "| |"; rule = "|---|"
  for (s = 1; s <= ns; s++) {
    line = line " " all_series[s] " |"; rule = rule "---|"
  }
  gsub("_", " ", line)
  print line "\n" rule
  for (f = 1; f <= nf; f++) {
    line = "| " figures[f] " |"
    for (s = 1; s <= ns; s++) {
      if (!digest(figures[f], all_series[s])) { line = line " |"; continue }
      if (figures[f] ~ /_percent$/) {
        digest_ratios(figures[f], all_series[s])
        line = line sprintf(" %.1f \302\261 %.1f |", mean, deviation)
        continue
      }
      line = line " " median " (" least ".." most ") |"
      printf "%s\t%s\t%s\t%s\t%s\t%s\n", "VM " kernel ": " figures[f], \
        notify ? "usecs/frames" : "", all_series[s], median, least, most >> tsv
    }
    gsub("_", " ", line)
    print line
  }
  if (stalled) print "\n" stalled " times nothing moved at all."
  print ""
}
