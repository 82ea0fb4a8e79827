# A made-up flow log: 12 hosts talk to 4 servers; a stranger tries 60 ports, one every 12 seconds.
BEGIN {
  print "version srcaddr dstaddr srcport dstport protocol packets bytes start end action"
  for (i = 0; i < 1500; i++) {
    t = 1772582400 + 12 * i
    print 2, "10.0.0." 10 + i % 12, "10.0.1." 5 + i % 4, 40000 + i % 997, (i % 3 ? 443 : 5432), 6, 20, 4000 + 37 * (i % 83), t, t + 9, "ACCEPT"
    if (i >= 1200 && i < 1260) print 2, "203.0.113.9", "10.0.1.5", 51515, i - 1180, 6, 1, 40, t, t + 1, "REJECT"
  }
}
