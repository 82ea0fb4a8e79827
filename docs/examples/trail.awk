# A made-up CloudTrail document: three users with four calls each; one of them is denied ten unusual calls.
BEGIN {
  split("DescribeInstances ListBuckets GetObject AssumeRole", call, " ")
  split("\"maxResults\":50|\"prefix\":\"a\"|\"bucketName\":\"b\",\"key\":\"k\"|\"roleArn\":\"r\"", with, "|")
  split("ops build app", who, " ")
  printf "{\"Records\":["
  for (i = 0; i < 1200; i++) {
    n = 1 + (i * 7 + int(i / 5)) % 4; w = who[1 + i % 3]; name = call[n]; denied = ""
    if (i > 1000 && i < 1030 && i % 3 == 1) { name = (i % 2 ? "GetSecretValue" : "ListUsers"); denied = ",\"errorCode\":\"AccessDenied\"" }
    printf "%s{\"eventTime\":\"2026-03-04T%02d:%02d:%02dZ\",\"eventName\":\"%s\"%s,", (i ? ",\n" : ""), int(i / 100), int(i * 36 / 60) % 60, i * 36 % 60, name, denied
    printf "\"userIdentity\":{\"arn\":\"arn:aws:iam::111122223333:user/%s\",\"accessKeyId\":\"AKIA-%s\"},\"requestParameters\":{%s}}", w, w, with[n]
  }
  print "]}"
}
