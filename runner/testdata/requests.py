# Times requests to a model: python3 requests.py BASE-URL KEY. Prints NAME=MICROSECONDS, medians.
import http.client, json, statistics, sys, time, urllib.parse

base, key = urllib.parse.urlsplit(sys.argv[1]), sys.argv[2]
head = {'X-Api-Key': key, 'Anthropic-Version': '2023-06-01', 'Content-Type': 'application/json'}
talk = [{'role': 'user', 'content': 'words ' * 50} for _ in range(200)]  # 60 KB, as an agent's requests are


def ask(connection, stream):
    body = {'model': 'claude-sonnet-4-5', 'max_tokens': 100, 'stream': stream, 'tools': [{'name': 'Bash'}], 'messages': talk}
    began = time.perf_counter()
    connection.request('POST', base.path + '/v1/messages', json.dumps(body), head)
    answer = connection.getresponse()
    first = answer.read(1)
    at = time.perf_counter()
    rest = answer.read()
    if answer.status != 200 or b'words' not in first + rest:
        sys.exit(f'status {answer.status}: {(first + rest)[:200]}')
    return at - began, time.perf_counter() - began


connection = http.client.HTTPConnection(base.hostname, base.port)
for stream in (False, True):
    times = [ask(connection, stream) for _ in range(150)][50:]
    for name, list in zip(('first', 'whole'), zip(*times)):
        print(f"{'stream' if stream else 'answer'}_{name}={statistics.median(list) * 1e6:.0f}", flush=True)
