"""What the server has of a bot, read over HTTP."""

import requests


class Seen:
    def __init__(self, name, endpoint, key, exports, said):
        self.name, self.endpoint, self.key, self.exports, self.said = name, endpoint, key, exports, said

    def get(self, path, **query):
        answer = requests.get(self.endpoint + path, params=query, headers={"Authorization": f"Api-Key {self.key}"}, timeout=30)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text}"
        return answer.json()

    def conversations(self):
        """The names of all that there are."""
        return sorted(row["conversation_id"] for row in self.get("/api/conversations/")["results"])

    def conversation(self, name):
        [row] = self.get("/api/conversations/", conversation_id=name)["results"]
        return self.get(f"/api/conversations/{row['id']}/")

    def transcript(self, name):
        """Who said what, in order."""
        return [(message["sender"], message["content"]) for message in self.conversation(name)["messages"]]

    def action_logs(self, name):
        return [log for message in self.conversation(name)["messages"] for log in message["action_logs"]]

    def usage(self, name):
        return self.get("/api/token-usage/", conversation_id=name)["results"]

    def spans(self, name, **query):
        return self.get("/api/spans/", conversation_id=name, page_size=100, **query)["results"]
