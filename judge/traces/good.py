GOOD={}
