# Made-up calls of a service: four callers, each with its own usual latency; one of them slow for a while.
BEGIN {
  print "time,caller,latency_ms"
  x = 4711; t = 1772582400
  for (i = 0; i < 3000; i++) {
    x = x * 16807 % 2147483647
    y = x * 16807 % 2147483647
    took = (20 + 15 * (i % 4)) * exp(0.12 * sqrt(-2 * log(x / 2147483647)) * cos(6.2831853 * y / 2147483647))
    if (i > 2400 && i < 2450 && i % 4 == 2) took *= 3
    t -= 4 * log(y / 2147483647)
    printf "%d,app-%d,%.1f\n", t, i % 4, took
    x = y
  }
}
