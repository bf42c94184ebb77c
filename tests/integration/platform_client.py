"""A client of the interview platform as the platform's own published one is built: the gql library over requests, the
schema fetched by introspection, `{ me { name } }` first, then the published documents. Prints one JSON object about what it
saw; any GraphQL document that does not fit the schema ends it with a traceback."""

import json
import os

from gql import Client, gql
from gql.transport.exceptions import TransportServerError
from gql.transport.requests import RequestsHTTPTransport

PAGE = "first: $first, last: $last, before: $before, after: $after"
PAGE_TYPES = "$first: Int, $last: Int, $before: String, $after: String"
INFO = "totalCount pageInfo { endCursor hasNextPage }"

USERS = gql(f"""query($filter: UserFilter, $orderBy: [UserOrderBy!], $search: String, {PAGE_TYPES}) {{
  users(filter: $filter, orderBy: $orderBy, search: $search, {PAGE}) {{
    {INFO} nodes {{ id name email phone timeZone clientUserType lastSeen groups {{ nodes {{ id name }} }} }} }} }}""")

GROUPS = gql(f"""query($filter: GroupFilter, $search: String, {PAGE_TYPES}) {{
  groups(filter: $filter, search: $search, {PAGE}) {{ {INFO} nodes {{ id name }} }} }}""")

ROLES = gql(f"""query($filter: RoleFilter, $orderBy: RoleOrderBy, $search: String, {PAGE_TYPES}) {{
  roles(filter: $filter, orderBy: $orderBy, search: $search, {PAGE}) {{
    {INFO} nodes {{ id name group {{ id name }} }} }} }}""")

CANDIDACIES = gql(f"""query($orderBy: [CandidacyOrderBy!], $filter: CandidacyFilter, $search: String, {PAGE_TYPES}) {{
  candidacies(orderBy: $orderBy, filter: $filter, search: $search, {PAGE}) {{
    {INFO}
    nodes {{
      id status atsUrl atsCandidateId atsApplicationId race gender lastStatusUpdate
      candidate {{ id name email safeResumeUrl }}
      recruiter {{ id name email }}
      role {{ id name group {{ id name }} }}
      codeChallenges {{ nodes {{ id createdAt state endTime recommendation }} }}
      interviews {{ nodes {{
        id createdAt state startTime endTime recommendation resultSummary isRedo shippedTime link
        structuredResultSummary {{
          qualities {{ qualityType score }}
          questions {{ title score details {{ title quality completeness handholding debugging complexity }} }} }}
        result {{ id overallThoughts updatedAt createdAt }}
        nextRedoInterview {{ id createdAt state endTime recommendation isRedo }} }} }} }} }} }}""")

INVITE = gql("""mutation CreateInvitation($name: String!, $email: String!, $roleId: ID!, $phone: String, $atsUrl: String,
                                          $resume: String, $githubUrl: String, $linkedinUrl: String) {
  createInvitation(input: { name: $name, email: $email, roleId: $roleId, phone: $phone, atsUrl: $atsUrl, resume: $resume,
                            githubUrl: $githubUrl, linkedinUrl: $linkedinUrl }) {
    assessment { id candidacy { id } link } errors { message } } }""")

DISPOSE = gql("""mutation($updates: [CandidacyStatusWithCandidacies!]!) {
  bulkUpdateCandidacyStatus(input: { updates: $updates }) { successfulUpdates failedUpdates errors { message } } }""")


def connect(token):
    transport = RequestsHTTPTransport(url=os.environ["PLATFORM_URL"], headers={"Authorization": f"Bearer {token}"}, timeout=20)
    return Client(transport=transport, fetch_schema_from_transport=True)


def main():
    client = connect(os.environ["PLATFORM_TOKEN"])
    seen = {"me": client.execute(gql("{ me { name } }"))["me"]["name"]}

    roles = client.execute(ROLES, variable_values={"orderBy": "NAME_ASC", "filter": {"archived": [False]}})["roles"]["nodes"]
    seen["roles"] = [role["name"] for role in roles]
    seen["groups"] = client.execute(GROUPS, variable_values={"first": 1})["groups"]["totalCount"]
    filtered = {"filter": {"clientUserType": "ADMIN", "disabled": False}, "first": 1}
    seen["users"] = [user["email"] for user in client.execute(USERS, variable_values=filtered)["users"]["nodes"]]

    ask = {"name": "Ada Lovelace", "email": "ada@example.org", "roleId": roles[0]["id"], "atsUrl": "https://ats.example/a/1"}
    made = client.execute(INVITE, variable_values=ask)["createInvitation"]
    again = client.execute(INVITE, variable_values=ask)["createInvitation"]
    short = client.execute(INVITE, variable_values={**ask, "email": "bob@example.org", "phone": "123"})["createInvitation"]
    seen["refusals"] = [it["errors"][0]["message"] for it in (again, short)]
    seen["link"] = made["assessment"]["link"]

    candidacy = made["assessment"]["candidacy"]["id"]
    updates = [{"status": "OFFER_ACCEPTED", "ids": [candidacy]}, {"status": "DECLINED_AT_ONSITE_INTERVIEW", "ids": ["1", "24"]}]
    seen["disposition"] = client.execute(DISPOSE, variable_values={"updates": updates})["bulkUpdateCandidacyStatus"]
    wanted = {"filter": {"atsUrl": ask["atsUrl"]}, "orderBy": ["LAST_STATUS_UPDATE_ASC"]}
    found = client.execute(CANDIDACIES, variable_values=wanted)["candidacies"]
    seen["candidacies"] = [[it["status"], it["candidate"]["email"], it["interviews"]["nodes"][0]["state"]] for it in found["nodes"]]
    seen["candidacy"] = candidacy

    try:
        connect("wrong").execute(gql("{ me { name } }"))
        seen["wrong_token"] = "let in"
    except TransportServerError as refusal:
        seen["wrong_token"] = refusal.code
    print(json.dumps(seen))


main()
