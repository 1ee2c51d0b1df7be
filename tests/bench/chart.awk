# SPDX-License-Identifier: Apache-2.0
#
# Bars with their spread, from lines of panel, group, series, median, least and
# most. Each panel has its own scale.

{
  if ($1 != panel) { panel = $1; group = ""; head(panel) }
  if ($2 != group) { group = $2; y += 6 }
  n++
  y += 18
  row_y[n] = y; row_text[n] = group == "" ? $3 : $2 " " $3
  row_panel[n] = heads; median[n] = $4; least[n] = $5; most[n] = $6
  if (!($3 in color)) color[$3] = palette[colors++ % 5]
  row_color[n] = color[$3]
  if ($6 > limit[heads]) limit[heads] = $6
}

BEGIN {
  split("#2f6f9f #b0b0b0 #d98c3f #5f9f5f #9f5f8f", colours, " ")
  for (i = 1; i <= 5; i++) palette[i - 1] = colours[i]
  left = 230; width = 480; y = 4
}

function head(text) {
  heads++
  y += 34
  head_y[heads] = y; head_text[heads] = text
}
function x(value, panel_number) {
  return left + (limit[panel_number] > 0 ? width * value / limit[panel_number] : 0)
}

END {
  printf "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" " \
    "height=\"%d\" font-family=\"sans-serif\" font-size=\"12\">\n", \
    left + width + 90, y + 20
  print "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>"
  for (i = 1; i <= heads; i++) {
    gsub("_", " ", head_text[i])
    printf "<text x=\"8\" y=\"%d\" font-weight=\"bold\">%s</text>\n", \
      head_y[i], head_text[i]
  }
  for (i = 1; i <= n; i++) {
    p = row_panel[i]; middle = row_y[i] - 4
    printf "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>\n", \
      left - 8, row_y[i], row_text[i]
    printf "<rect x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"12\" " \
      "fill=\"%s\"/>\n", left, row_y[i] - 10, x(median[i], p) - left, \
      row_color[i]
    printf "<path d=\"M%.1f %dH%.1f\" stroke=\"black\"/>\n", x(least[i], p), \
      middle, x(most[i], p)
    printf "<text x=\"%.1f\" y=\"%d\">%s</text>\n", x(most[i], p) + 6, \
      row_y[i], median[i]
  }
  print "</svg>"
}
